"""Commands that are killed at random moments, again and again, until one comes to its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

# Dates in what is written are then the same in every run.
EPOCH = "1700000000"


def numbers_of_kills(many: int) -> list:
    """Return the numbers of kills to test with: three, and many among the slow tests."""
    return [3, pytest.param(many, marks=pytest.mark.slow)]


class Commands:
    """Starts commands as processes of their own.

    Parameters
    ----------
    process
        The running `kill_server.py`.
    begun
        Whether commands say `begun`, from which moment their time counts.
    """

    def __init__(self, process, *, begun: bool) -> None:
        self._process, self._begun = process, begun

    def run(self, *arguments) -> float:
        """Run a command that must succeed; return the seconds that it took."""
        began = time.monotonic()
        self._start(arguments)
        if self._begun:
            began = time.monotonic()
        assert self._wait() == 0
        return time.monotonic() - began

    def run_with_kills(self, *arguments, seconds: float, chance, most: int | None = None) -> int:
        """Run a command until it comes to its end; return how many runs of it were killed.

        Parameters
        ----------
        arguments
            The command.
        seconds
            Latest moment of a kill.
        chance
            A random generator.
        most
            Kills after which it is let run.
        """
        kills = 0
        while most is None or kills < most:
            process = self._start(arguments)
            time.sleep(chance.uniform(0, seconds))
            os.kill(process, signal.SIGKILL)
            code = self._wait()
            if code == 0:
                return kills
            assert code == -signal.SIGKILL
            kills += 1
        self.run(*arguments)
        return kills

    def _start(self, arguments) -> int:
        self._process.stdin.write(json.dumps([str(value) for value in arguments]) + "\n")
        self._process.stdin.flush()
        process = int(self._process.stdout.readline())
        if self._begun:
            assert self._process.stdout.readline() == "begun\n"
        return process

    def _wait(self) -> int:
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def commands(*modules: str, begun: bool = False):
    """Give what starts commands, in a process that has imported modules already.

    Parameters
    ----------
    modules
        Their names.
    begun
        Whether one of them has commands say `begun`.
    """
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("kill_server.py"), *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "SOURCE_DATE_EPOCH": EPOCH,
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")]),
        },
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield Commands(process, begun=begun)
        process.stdin.close()


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file in a folder and below, hidden ones too."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
