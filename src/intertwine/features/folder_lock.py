"""Who writes in a folder: one writer, or several that fill ranges of rows; a kill leaves no lock."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.files import cannot_write

try:
    import fcntl
except ModuleNotFoundError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path

# Locked in bytes A to B−1 by whoever fills rows A to B−1.
ROWS_FILE = ".fill.lock"


class FolderLock:
    """A lock on a folder; the system lets go of it when the process ends, however it ends.

    Parameters
    ----------
    handle
        The open folder, or None where the system cannot lock one.
    """

    def __init__(self, handle: int | None) -> None:
        self._handle = handle

    def close(self) -> None:
        """Let go."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def lock_folder(path: Path, *, shared: bool = False) -> FolderLock:
    """Make a folder when absent, and lock it.

    Parameters
    ----------
    path
        The folder.
    shared
        Whether others may hold it too who share it.

    Raises
    ------
    InputError
        When it cannot be made, or another process holds it.
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
    """Lock a range of rows of a folder's set, for the process.

    Record locks are those that network file systems keep between machines, too.

    Parameters
    ----------
    path
        The folder.
    start, stop
        Rows start … stop−1; every row there may be when stop is 0.

    Raises
    ------
    InputError
        When another process holds some of them, or the folder cannot be written.
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
        # As above.
        lock.close()
    return lock
