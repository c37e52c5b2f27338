"""A measurement in a process of its own: its peak memory is honest, and it may fail or be stopped.

The process that starts others stays small, since Linux counts its memory in theirs until they have
started; it therefore makes no arrays and imports no frameworks.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).parent.with_suffix(".py")
CHILD = "--child"
POLL = 0.02
# What a framework says when it gets no memory, beside MemoryError.
NO_MEMORY = ("allocate memory", "not enough memory", "out of memory", "bad_alloc")


class Clock:
    """Tells the parent when the work proper began, and how far it is."""

    def __init__(self) -> None:
        self.start = 0.0

    def begin(self) -> None:
        """Begin: what was imported so far is not counted."""
        say(began=time.time())
        self.start = time.perf_counter()

    def seconds(self) -> float:
        """Return the seconds since `begin`."""
        return time.perf_counter() - self.start

    def done(self, share: float) -> None:
        """Report which share of the work is done, in case the rest is stopped."""
        say(share=share, seconds=self.seconds())


def say(**facts: Any) -> None:
    """Print a line of facts for the parent."""
    print(json.dumps(facts), flush=True)


def child(work: str, given: str) -> None:
    """Run one measurement, `module:function`, and print its facts as the last line."""
    module, function = work.split(":")
    settings = json.loads(given)
    try:
        run: Callable[..., dict[str, Any]] = getattr(importlib.import_module(module), function)
        if gib := settings.pop("limit_gib", None):
            resource.setrlimit(resource.RLIMIT_DATA, (int(gib * 2**30),) * 2)
        say(result=run(**settings))
    except Exception as error:  # noqa: BLE001 - a peer may fail in any way; that is a result
        say(failed=_reason(error))


def _reason(error: Exception) -> str:
    from intertwine.errors import IntertwineError

    if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
        return "out of memory"
    if isinstance(error, (IntertwineError, ModuleNotFoundError)):
        return f"not available: {error}"
    return f"failed: {type(error).__name__}: {error}"


def measure(work: str, *, cap: float = 600.0, **given: Any) -> dict[str, Any]:
    """Run a measurement in a process of its own.

    Parameters
    ----------
    work
        `module:function`; what the function returns comes back.
    cap
        Seconds, from the moment the work proper began, after which it is stopped.
    given
        Arguments of the function, JSON-ready; `limit_gib` bounds the memory that it may take.

    Returns
    -------
    facts
        What the function returned, and `peak_mib`; or `failed` with the reason and, as far as
        known, `stopped_after_s`, `share` (of the work done) and `share_s` (the seconds it took).
    """
    command = [sys.executable, str(SCRIPT), CHILD, work, json.dumps(given)]
    with tempfile.TemporaryFile("w+") as out:
        started = subprocess.Popen(command, stdout=out)
        status, usage, stopped = _wait(started.pid, out, cap)
        started.returncode = os.waitstatus_to_exitcode(status)
        lines = [json.loads(line) for line in _lines(out)]
    facts = {key: value for line in lines for key, value in line.items()}
    peak = {"peak_mib": usage.ru_maxrss / 1024}
    if "result" in facts:
        return {**facts["result"], **peak}
    failed = {"failed": facts.get("failed") or _ended(started.returncode), **peak}
    if "share" in facts:
        failed |= {"share": facts["share"], "share_s": facts["seconds"]}
    if stopped:
        failed |= {"failed": f"stopped after {stopped:.0f} s", "stopped_after_s": stopped}
    return failed


def _wait(pid: int, out: Any, cap: float) -> tuple[int, resource.struct_rusage, float | None]:
    """Wait for a process; stop it when its work has taken too long."""
    begin = None
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            return status, usage, None
        begin = begin or next(
            (json.loads(line).get("began") for line in _lines(out) if "began" in line), None
        )
        if begin and time.time() - begin > cap:
            os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            return status, usage, time.time() - begin
        time.sleep(POLL)


def _lines(out: Any) -> list[str]:
    # The child writes through the same position in the file, so it must not be moved.
    text = os.pread(out.fileno(), 1 << 20, 0).decode()
    return [line for line in text.split("\n")[:-1] if line.startswith("{")]


def _ended(code: int) -> str:
    # The kernel kills what takes the machine's last memory.
    return "out of memory" if code == -signal.SIGKILL else f"failed: ended with code {code}"
