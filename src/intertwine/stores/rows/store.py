"""Items that are the rows of one or many files, one after another."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from bisect import bisect_right
from glob import has_magic
from itertools import accumulate, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.parallel.threads import prefetch
from intertwine.storage.file_state import stamp_of
from intertwine.storage.row_ranges import cut_on_grid
from intertwine.stores.rows.switch import (
    before_any,
    before_switch,
    is_switched,
    note_is_gone,
    original,
    read_mark,
    stands_whole,
)
from intertwine.stores.store import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Metric, MigrationRecord

# A sample is this many runs of rows, so that not all of a large file is read for it.
SAMPLE_RUNS = 16


class RowStore(ABC):
    """Items that are rows of files; `payload` of a batch is the range of its rows.

    `paths` are the files found, in the order of their rows.
    """

    dim: int
    sizes: list[int]
    # Whether a row may have no vector.
    holds_nulls: bool = False

    def __init__(self, address: Address, paths: list[Path], metric: Metric | None) -> None:
        self.address, self.found, self.metric = address, paths, metric
        self.name, self.root = address.shown, root_of(address)
        # Where a switch was cut off the old vectors are all there still, and only they.
        self.shows_old = address.before or not stands_whole(self.root, paths)
        kept = [path for path in paths if before_switch(path).exists()]
        # What was added since a switch is none of the old content.
        self.paths = (kept if address.before else []) or paths
        if not address.before and self.cut_off:
            self._require_notes()
        # Before anything is read: what is read is of this state, or the state has changed.
        self.stamps = [self._stamp(path) for path in self.paths]

    def _stamp(self, path: Path) -> list[int]:
        try:
            return stamp_of(self.shown(path))
        except OSError:
            return []

    def shown(self, path: Path) -> Path:
        """Return where the content is that the store reads under a name."""
        if self.address.before:
            return before_any(path)
        return original(path) if self.shows_old else path

    @property
    def edges(self) -> list[int]:
        """First row of every file, and the number of all rows."""
        return [0, *accumulate(self.sizes)]

    @abstractmethod
    def pieces(self, file: int, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, Array]]:
        """Yield ascending ranges of a file's own rows as (first row, vectors)."""

    @abstractmethod
    def dtype_of(self, file: int) -> np.dtype[Any]:
        """Return the type of a file's numbers, in native byte order."""

    @abstractmethod
    def read(self, ids: Sequence[Any]) -> Array:
        """Return the vectors of items, a row of NaN where there is none."""

    @abstractmethod
    def search(self, queries: Array, k: int) -> list[list[Any]]:
        """Return the nearest items of each query."""

    def _require_notes(self) -> None:
        """Raise where a file among others that were switched lacks the note of that."""
        reason = next((reason for path in self.paths if (reason := note_is_gone(path))), "")
        if reason:
            raise InputError(reason)

    def newcomers(self, known: Sequence[Path]) -> list[Path]:
        """Return the files there now, in their order, other than those that are known."""
        del known
        return []

    def ids_of(self, rows: range) -> list[Any]:
        """Return the ids of some rows."""
        return list(rows)

    def row_behind(self, item: Any) -> int:
        """Return the row that follows an item's."""
        return int(item) + 1

    def count(self) -> int:
        """Return the number of rows."""
        return self.edges[-1]

    def items(self, file: int, ranges: Iterable[tuple[int, int]]) -> Iterator[Batch]:
        """Yield ascending ranges of a file's own rows, with their ids in the store."""
        first = self.edges[file]
        for start, vectors in self.pieces(file, ranges):
            rows = range(first + start, first + start + len(vectors))
            yield Batch(self.ids_of(rows), vectors, rows)

    def batches(self, size: int, after: Any = None) -> Iterator[Batch]:
        """Yield all items in the order of their rows; a batch holds rows of one file."""
        first = 0 if after is None else self.row_behind(after)
        return prefetch(self._batches(size, first))

    def _batches(self, size: int, first: int) -> Iterator[Batch]:
        for file, (low, high) in enumerate(zip(self.edges, self.edges[1:], strict=False)):
            if first < high:
                yield from self.items(file, cut_on_grid(max(first - low, 0), high - low, size))

    def sample(self, size: int) -> Batch:
        """Return rows in runs that are spread evenly, the same ones each time."""
        n = self.count()
        runs = min(SAMPLE_RUNS, max(1, min(size, n)))
        starts = np.linspace(0, n, runs, endpoint=False).astype(int)
        lengths = [
            (min(size, n) * (i + 1)) // runs - (min(size, n) * i) // runs for i in range(runs)
        ]
        ids, rows = [], []
        for start, length in zip(starts.tolist(), lengths, strict=True):
            for file, low, high in self.by_file(start, start + length):
                for batch in self.items(file, [(low, high)]):
                    ids += batch.ids
                    rows.append(batch.vectors)
        return Batch(ids, np.concatenate(rows) if rows else np.empty((0, self.dim), np.float32))

    def by_file(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield rows of the store as (file, first, after the last of its own rows)."""
        edges = self.edges
        while start < stop:
            file = bisect_right(edges, start) - 1
            end = min(stop, edges[file + 1])
            yield file, start - edges[file], end - edges[file]
            start = end

    def mark(self) -> MigrationRecord | None:
        """Return the record in the notes beside all files, which must agree, or beside their folder."""
        switched = [] if self.shows_old else [path for path in self.paths if is_switched(path)]
        marks = {read_mark(path) for path in switched or self.paths}
        if len(marks) != 1 or self.cut_off:
            return None
        return marks.pop() or read_mark(Path(self.address.place))

    @property
    def cut_off(self) -> bool:
        """Whether a switch of these files was begun and not ended."""
        return self.shows_old and any(is_switched(path) for path in self.paths)

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Close nothing: files are open only while they are read."""


def folders_below(place: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield a folder and those in it as (its real path, its files), linked ones too, each once."""
    seen = set[str]()
    for folder, inner, names in os.walk(place, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner.sort()
        yield Path(real), [Path(folder, name) for name in names]


def root_of(address: Address) -> Path:
    """Return the folder below which an address finds files, whichever there are now."""
    place = Path(address.place)
    if place.is_dir():
        return place
    if has_magic(address.place) and not place.exists():
        fixed = takewhile(lambda part: not has_magic(part), place.parts)
        return Path(*fixed)
    return place.parent
