"""One run an output: a second one is refused, and a kill leaves no lock behind."""

from __future__ import annotations

import json
import os
import platform
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.files import cannot_write

try:
    import fcntl
except ModuleNotFoundError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

# A note about a holder is shorter than this; whatever is longer was not written here.
LONGEST_NOTE = 1000


def lock_of(output: Path) -> Path:
    """Return where the lock of an output stands."""
    return output.with_name(f".{output.name[:200]}.lock")


@contextmanager
def one_run(output: str | os.PathLike[str]) -> Iterator[None]:
    """Hold an output for one run; the system releases it when the process ends, however it ends.

    Parameters
    ----------
    output
        The file or folder in the making. The folder around it is made when absent.

    Raises
    ------
    InputError
        When another run holds it, saying which, or the folder cannot be written.
    """
    path = lock_of(Path(output))
    if fcntl is None:  # pragma: no cover - Windows
        yield
        return
    handle = _acquire(path, Path(output))
    try:
        yield
    finally:
        # Removed while it is still held: a run that waits for it sees that it is gone.
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquire(path: Path, output: Path) -> int:
    """Return the open lock file once it is locked and still stands under its name."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(path, flags, 0o644)
        except OSError as error:
            raise cannot_write(output, error) from error
        try:
            if not _lock(handle, output):
                return handle
            if _stands(handle, path):
                os.ftruncate(handle, 0)
                os.pwrite(handle, _note(), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int, output: Path) -> bool:
    """Lock a file; return whether the file system has locks.

    Raises
    ------
    InputError
        When another run holds it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"{output}: another run is writing it ({_holder(handle)}); wait for that one, or name "
            "another output"
        ) from error
    except OSError:
        # Some network file systems have no locks.
        return False
    return True


def _stands(handle: int, path: Path) -> bool:
    """Return whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _note() -> bytes:
    """Return who holds a lock."""
    value = {
        "process": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": Path(sys.argv[0]).name if sys.argv else "",
    }
    return json.dumps(value).encode()


def _holder(handle: int) -> str:
    """Return in words who holds a lock; its file may be empty for a moment."""
    try:
        value = json.loads(os.pread(handle, LONGEST_NOTE, 0))
        process, host, since = int(value["process"]), str(value["host"]), str(value["since"])
    except (ValueError, KeyError, TypeError):
        return "another process"
    return f"process {process} on {host} since {since}"
