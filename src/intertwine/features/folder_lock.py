"""One writer at a time in a folder, with nothing left behind by a kill."""

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


def lock_folder(path: Path) -> FolderLock:
    """Make a folder when absent, and lock it.

    Parameters
    ----------
    path
        The folder.

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
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise InputError(
            f"{path}: another process is writing there; wait for it or choose another folder"
        ) from error
    except OSError:
        # Some network file systems have no locks.
        lock.close()
    return lock
