"""Whether a file still has the content it had, even if somebody set its times back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from intertwine.storage.files import sha256_file

if TYPE_CHECKING:
    from pathlib import Path


def stamp_of(path: Path) -> list[int]:
    """Return size, times and inode of a file: while they are the same, so is its content.

    One of them is the time of the last change of status, which nobody can set back. It also changes
    with the file's links and permissions, so another stamp does not mean other content.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


@dataclass(frozen=True)
class FileState:
    """The content of a file at some moment: its `stamp_of`, its SHA-256 and its number of rows."""

    stamp: list[int]
    sha256: str
    rows: int

    @classmethod
    def of(cls, path: Path, rows: int) -> Self:
        """Return the state of a file, which is read whole."""
        while True:
            stamp = stamp_of(path)
            sha256 = sha256_file(path)
            if stamp_of(path) == stamp:
                return cls(stamp, sha256, rows)

    @classmethod
    def from_json(cls, value: Any) -> Self | None:
        """Return the state that was recorded, or None for anything else."""
        try:
            stamp = [int(number) for number in value["stamp"]]
            return cls(stamp, str(value["sha256"]), int(value["rows"]))
        except (KeyError, TypeError, ValueError):
            return None

    def is_of(self, path: Path) -> bool:
        """Return whether a file has this content now; it is read only if its stamp differs."""
        try:
            stamp = stamp_of(path)
        except OSError:
            return False
        if stamp == self.stamp:
            return True
        return stamp[0] == self.stamp[0] and sha256_file(path) == self.sha256
