"""Locks on outputs, folders and ranges of rows; the system releases them when a process ends."""

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
from intertwine.storage.files import cannot_write

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import fcntl
except ModuleNotFoundError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

# Records of holders are shorter than this; a longer one was not written here.
LONGEST_NOTE = 1000
# Bytes A to B−1 are locked by the process that fills rows A to B−1.
ROWS_FILE = ".fill.lock"


@contextmanager
def one_run(output: str | os.PathLike[str]) -> Iterator[None]:
    """Hold an output, a file or folder, for one run; InputError if another run holds it.

    The error names that run. The folder around the output is made when absent. The system releases
    the lock however the process ends.
    """
    path = lock_of(Path(output))
    if fcntl is None:  # pragma: no cover - Windows
        yield
        return
    handle = _acquire(path, Path(output))
    try:
        yield
    finally:
        # Removed while it is still held: a run that waits for it sees that it is removed.
        path.unlink(missing_ok=True)
        os.close(handle)


class FolderLock:
    """A lock on an open folder or file; without a handle where the system has no locks."""

    def __init__(self, handle: int | None) -> None:
        self._handle = handle

    def close(self) -> None:
        """Release the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def lock_folder(path: Path, *, shared: bool = False) -> FolderLock:
    """Make a folder when absent, and lock it; with `shared`, others who share it may lock it too.

    InputError when it cannot be made, or another process holds it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if fcntl is None:  # pragma: no cover - Windows
            return FolderLock(None)
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise cannot_write(path, error) from error
    lock = FolderLock(handle)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise InputError(
            f"{path}: another process is writing there; wait for it or choose another folder"
        ) from error
    except OSError:
        # Some network file systems have no locks.
        lock.close()
    return lock


def lock_rows(path: Path, start: int, stop: int) -> FolderLock:
    """Lock rows start … stop−1 of a folder's set for this process; all rows when stop is 0.

    Record locks hold between machines on network file systems too. InputError when another process
    holds some of the rows, or the folder cannot be written.
    """
    if fcntl is None:  # pragma: no cover - Windows
        return FolderLock(None)
    try:
        handle = os.open(
            path / ROWS_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
        )
    except OSError as error:
        raise cannot_write(path / ROWS_FILE, error) from error
    lock = FolderLock(handle)
    try:
        # Length 0 reaches to the end, however far that is.
        length = max(stop - start, 0)
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except (BlockingIOError, PermissionError) as error:
        lock.close()
        rows = f"of rows {start}:{stop}" if stop else "of the rows"
        raise InputError(
            f"{path}: another process is filling some {rows}; wait for it or give other rows"
        ) from error
    except OSError:
        # Some network file systems have no locks.
        lock.close()
    return lock


def lock_of(output: Path) -> Path:
    """Return the path of an output's lock file."""
    return output.with_name(f".{output.name[:200]}.lock")


def _acquire(path: Path, output: Path) -> int:
    """Return the open lock file, once it is locked and still has its name."""
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
            if _has_name(handle, path):
                os.ftruncate(handle, 0)
                os.pwrite(handle, _record(), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int, output: Path) -> bool:
    """Lock a file; return whether the file system can. InputError when another run holds it."""
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


def _has_name(handle: int, path: Path) -> bool:
    """Return whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _record() -> bytes:
    """Return the record of who holds a lock."""
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
