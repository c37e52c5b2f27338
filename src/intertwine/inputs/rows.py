"""What lists of images and of texts share: rows in a fixed order, and how inputs are told apart."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from intertwine.errors import InputError
from intertwine.storage.untrusted import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from intertwine.numerics.arrays import Array


# Folders that systems and programs make on their own, in lower case; so are all with a dot first.
_OWN = frozenset(
    {
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "@eadir",
        "@recycle",
        "@tmp",
        "__macosx",
        "__pycache__",
        "lost+found",
        "system volume information",
    }
)
# Files beside the shards of a table or of tars that are no shards.
_BESIDE_NAMES = (
    "_",
    "citation",
    "desktop.ini",
    "licence",
    "license",
    "notice",
    "readme",
    "thumbs.db",
)
_BESIDE_ENDINGS = (".crc", ".idx", ".index", ".md5", ".sha1", ".sha256", ".sha512")


@dataclass(frozen=True)
class RowList:
    """Samples in a fixed order; a base of `ImageList` and `TextList`.

    Parameters
    ----------
    path
        What they were listed from, absolute.
    kind
        Of what kind that is.
    ids
        One a row, each on one line.
    labels
        (n,) int64, or None.
    classes
        Names of the classes, where the input names them.
    places
        (n,) int64: where each row stands in the input, before any were left out.
    notes
        What whoever lists them should know before anything else, such as files passed over.
    """

    path: Path
    kind: str
    ids: list[str]
    labels: Array | None
    classes: list[str] | None
    places: Array
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, start: int, stop: int) -> Self:
        """Return rows start … stop−1 as a list of their own.

        Raises
        ------
        InputError
            When there are no such rows.
        """
        if not 0 <= start < stop <= len(self):
            raise InputError(
                f"{self.path}: got rows {start}:{stop}, expected some of 0:{len(self)}"
            )
        return self._take(range(start, stop))

    def without(self, ids: Collection[str]) -> Self:
        """Return the list without some ids, in the same order.

        Parameters
        ----------
        ids
            What to leave out; those that are not in the list change nothing.

        Raises
        ------
        InputError
            When nothing is left.
        """
        out = frozenset(ids)
        kept = [row for row, name in enumerate(self.ids) if name not in out]
        if not kept:
            raise InputError(
                f"{self.path}: nothing is left without {len(self)} of {len(self)} rows"
            )
        return self._take(kept)

    def _take(self, rows: Sequence[int]) -> Self:
        index = np.asarray(rows, np.int64)
        return replace(
            self,
            ids=[self.ids[row] for row in rows],
            labels=None if self.labels is None else self.labels[index],
            places=self.places[index],
        )


def absolute(path: Path) -> Path:
    """Return a path that does not depend on where one stands, links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def hidden(name: str) -> bool:
    """Return whether a file or folder of a name is no part of the data, as `.git` and `@eaDir`."""
    return name.startswith(".") or name.lower() in _OWN


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path as text on one line that can be printed, other characters escaped."""
    return printable(os.fspath(path))


def files_only(folder: Path, *endings: str) -> list[Path]:
    """Return a folder's files by name when all of them end so, else nothing.

    Parameters
    ----------
    folder
        A folder; what is hidden in it does not count, nor do the marks, sums and descriptions that
        programs leave beside data: `_SUCCESS`, `README.md`, `0.parquet.crc`.
    endings
        Such as `.tar`, in lower case.

    Returns
    -------
    files
        Sorted; empty when a folder or a file of another kind lies among them.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if not hidden(path.name))
    except OSError:
        # Whoever reads the folder next says what is wrong with it.
        return []
    # Names alone tell in most folders, which may hold a great many files.
    shards = [name for name in names if name.lower().endswith(endings)]
    if not shards or not all(beside_shards(name) for name in set(names).difference(shards)):
        return []
    files = [folder / name for name in names]
    return [folder / name for name in shards] if all(file.is_file() for file in files) else []


def beside_shards(name: str) -> bool:
    """Return whether a file of a name is a mark, sum or description beside shards, or hidden."""
    known = name.lower().startswith(_BESIDE_NAMES) or name.lower().endswith(_BESIDE_ENDINGS)
    return known or hidden(name)
