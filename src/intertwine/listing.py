"""What lists of images and of texts share: rows in a fixed order, and how inputs are told apart."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from intertwine.arrays import Array


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
    """

    path: Path
    kind: str
    ids: list[str]
    labels: Array | None
    classes: list[str] | None
    places: Array

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


def files_only(folder: Path, *endings: str) -> list[Path]:
    """Return a folder's files by name when all of them end so, else nothing.

    Parameters
    ----------
    folder
        A folder; what is hidden in it does not count.
    endings
        Such as `.tar`, in lower case.

    Returns
    -------
    files
        Sorted; empty when a folder or a file of another kind lies among them.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        # Whoever reads the folder next says what is wrong with it.
        return []
    # Names alone tell in most folders, which may hold a great many files.
    if not all(name.lower().endswith(endings) for name in names):
        return []
    files = [folder / name for name in names]
    return files if all(file.is_file() for file in files) else []
