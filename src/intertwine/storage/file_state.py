"""What tells one state of a file from another, whatever somebody does to its times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from intertwine.storage.files import sha256_file

if TYPE_CHECKING:
    from pathlib import Path


def stamp_of(path: Path) -> list[int]:
    """Return size, times and inode of a file: while they are the same its content is.

    The time of the last change of status is among them, which nobody can set back; it also changes
    with the file's links and rights, so that another stamp does not mean other content.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


@dataclass(frozen=True)
class FileState:
    """The content of a file at some moment.

    Parameters
    ----------
    stamp
        Its `stamp_of`.
    sha256
        Of its bytes.
    rows
        How many rows it held.
    """

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
        """Return the state that was noted; None for anything else."""
        try:
            stamp = [int(number) for number in value["stamp"]]
            return cls(stamp, str(value["sha256"]), int(value["rows"]))
        except (KeyError, TypeError, ValueError):
            return None

    def is_of(self, path: Path) -> bool:
        """Whether a file holds this content now; it is read only where its stamp does not say so."""
        try:
            stamp = stamp_of(path)
        except OSError:
            return False
        if stamp == self.stamp:
            return True
        return stamp[0] == self.stamp[0] and sha256_file(path) == self.sha256
