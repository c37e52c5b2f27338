"""What lists of images and of texts share: rows in a fixed order, and which files count as data."""

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


# Folders that systems and programs make, in lower case; all that begin with a dot are, too.
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
# Files next to the shards of a table or of tars that are no shards.
_SIDE_NAMES = (
    "_",
    "citation",
    "desktop.ini",
    "licence",
    "license",
    "notice",
    "readme",
    "thumbs.db",
)
_SIDE_ENDINGS = (".crc", ".idx", ".index", ".md5", ".sha1", ".sha256", ".sha512")


@dataclass(frozen=True)
class RowList:
    """Samples in a fixed order; a base of `ImageList` and `TextList`.

    `path` is the absolute path of the input and `kind` its kind; `ids` are one a row, each on one
    line; `labels` (n,) int64 or None; `classes` their names, where the input names them; `places`
    (n,) int64, each row's place in the input before any were left out; `notes` what a user should
    know first, such as files that were skipped.
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
        """Return rows start … stop−1 as a list of their own; InputError where there are none."""
        if not 0 <= start < stop <= len(self):
            raise InputError(
                f"{self.path}: got rows {start}:{stop}, expected some of 0:{len(self)}"
            )
        return self._select(range(start, stop))

    def without(self, ids: Collection[str]) -> Self:
        """Return the list without some ids, in the same order; InputError if nothing remains."""
        out = frozenset(ids)
        remaining = [row for row, name in enumerate(self.ids) if name not in out]
        if not remaining:
            raise InputError(
                f"{self.path}: nothing is left without {len(self)} of {len(self)} rows"
            )
        return self._select(remaining)

    def _select(self, rows: Sequence[int]) -> Self:
        index = np.asarray(rows, np.int64)
        return replace(
            self,
            ids=[self.ids[row] for row in rows],
            labels=None if self.labels is None else self.labels[index],
            places=self.places[index],
        )


def absolute(path: Path) -> Path:
    """Return a path that does not depend on the working folder, with links unresolved."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def hidden(name: str) -> bool:
    """Return whether a file or folder of this name is not data, as `.git` and `@eaDir`."""
    return name.startswith(".") or name.lower() in _OWN


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path as printable text on one line, with other characters escaped."""
    return printable(os.fspath(path))


def files_only(folder: Path, *endings: str) -> list[Path]:
    """Return a folder's files by name if all of them have one of these endings, else none.

    Endings, such as `.tar`, are in lower case. Hidden files do not count, nor do the markers,
    checksums and descriptions that programs leave next to data: `_SUCCESS`, `README.md`,
    `0.parquet.crc`.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if not hidden(path.name))
    except OSError:
        # Reading the folder reports what is wrong with it.
        return []
    # In most folders, which may hold a great many files, names alone decide.
    shards = [name for name in names if name.lower().endswith(endings)]
    if not shards or not all(is_side_file(name) for name in set(names).difference(shards)):
        return []
    files = [folder / name for name in names]
    return [folder / name for name in shards] if all(file.is_file() for file in files) else []


def is_side_file(name: str) -> bool:
    """Return whether a file of this name is a marker, checksum or description, or hidden."""
    known = name.lower().startswith(_SIDE_NAMES) or name.lower().endswith(_SIDE_ENDINGS)
    return known or hidden(name)
