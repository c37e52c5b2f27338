"""Vectors in Parquet, Arrow or `.npy` files as a store: rows are items, told apart by their number."""

from __future__ import annotations

from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.stores.exact_search import exact_search
from intertwine.stores.rows.store import RowStore, folders_below
from intertwine.stores.rows.switch import BEFORE, before_switch, name_of
from intertwine.stores.store import check_metric
from intertwine.vectors.arrays import NpyVectors
from intertwine.vectors.tables import TableVectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Metric


SUFFIXES = {"parquet": (".parquet",), "arrow": (".arrow", ".feather"), "npy": (".npy",)}
# Rows read at a time, and numbers of scores in memory.
BLOCK_ROWS = 4096
BLOCK_SCORES = 1 << 22


def open_store(address: Address) -> FileStore:
    """Open `parquet:FILES#COLUMN`, `arrow:FILES#COLUMN` or `npy:FILES`.

    FILES is a file, a folder, or a pattern with `*`, whose files come in the order of their names.
    Options: `metric=cosine`, `ip` or `l2` for searches, which are exact.
    """
    address.only("metric")
    metric = check_metric(address.options.get("metric"), address.shown)
    return FileStore(address, find_files(address), metric)


def find_files(address: Address) -> list[Path]:
    """Return the files that an address means, all of its format, at least one."""
    place, suffixes = Path(address.place), SUFFIXES[address.scheme]
    if place.is_dir():
        below = [path for _, paths in folders_below(place) for path in paths]
        kept = [path for path in below if path.name[0] == "." and path.name.endswith(BEFORE)]
        found = [*below, *(map(name_of, kept) if address.before else [])]
        found = [path for path in found if path.suffix in suffixes]
    elif has_magic(address.place) and not place.exists():
        found = [Path(name) for name in glob(address.place, recursive=True)]  # noqa: PTH207 - may be absolute
        names = glob(str(before_switch(place)), recursive=True) if address.before else []  # noqa: PTH207 - as above
        found += [name_of(Path(name)) for name in names]
    else:
        there = place.exists() or (address.before and before_switch(place).exists())
        found = [place] if there else []
    found = [path for path in found if path.name[0] != "."]
    if not found:
        more = "; no path holds # or ?, which end it" if address.part or address.options else ""
        raise InputError(
            f"{address.shown}: no such files{more}; give a file, a folder or 'FOLDER/*'"
        )
    wrong = [path for path in found if path.suffix not in suffixes]
    if wrong:
        raise InputError(
            f"got {wrong[0]} as {address.scheme}, expected names that end in {' or '.join(suffixes)}"
        )
    return sorted(set(found), key=str)


class FileStore(RowStore):
    """Rows of files of one dimension, numbered from 0 through all of them.

    The address's part is the column. Searches go by the cosine where no metric is named.
    """

    def __init__(self, address: Address, paths: list[Path], metric: Metric | None) -> None:
        super().__init__(address, paths, metric)
        if address.scheme == "npy" and address.part:
            raise InputError(
                f"got {address.shown}, but a .npy file holds one array; leave out #…; no path holds a #"
            )
        self.column: str | None = address.part or None
        self.holds_nulls = address.scheme != "npy"
        self.dim, self.sizes, self._dtypes = 0, list[int](), list[np.dtype[Any]]()
        telling = 0
        for number in range(len(self.paths)):
            file = self.open_file(number)
            if not self.dim:
                telling = number
            self.column, self.dim = getattr(file, "column", None), self.dim or file.dim
            if file.dim not in {0, self.dim}:
                raise InputError(
                    f"{self.paths[number]}: got dimension {file.dim}, expected {self.dim} as in "
                    f"{self.paths[telling]}"
                )
            self.sizes.append(file.n_rows)
            self._dtypes.append(file.dtype)
        if not self.dim:
            raise InputError(
                f"{self.name}: holds no vectors, expected some to tell the dimension by"
            )

    def newcomers(self, known: Sequence[Path]) -> list[Path]:
        """Return the files there now, in their order, other than those that are known."""
        there = {path.absolute() for path in known}
        return [path for path in find_files(self.address) if path.absolute() not in there]

    def open_file(self, file: int) -> NpyVectors | TableVectors:
        """Open a file's vectors."""
        return self.open_path(self.shown(self.paths[file]))

    def open_path(self, path: Path) -> NpyVectors | TableVectors:
        """Open the vectors of a file that holds such, or held them before a switch."""
        if self.address.scheme == "npy":
            return NpyVectors(path)
        suffix = name_of(path).suffix if path.name.endswith(BEFORE) else path.suffix
        table = TableVectors(path, self.column, suffix=suffix, gaps=True)
        # A file without any vector says no dimension of its own.
        table.dim = table.dim or self.dim
        return table

    def dtype_of(self, file: int) -> np.dtype[Any]:
        """Return the type of a file's numbers, in native byte order."""
        return self._dtypes[file].newbyteorder("=")

    def pieces(self, file: int, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, Array]]:
        """Yield ascending ranges of a file's own rows as (first row, vectors)."""
        for start, _, read in self.open_file(file).pieces(ranges):
            yield start, read()

    def read(self, ids: Sequence[Any]) -> Array:
        """Return the vectors of rows, a row of NaN where there is none."""
        wanted = np.asarray(ids, np.int64)
        vectors = np.full((len(wanted), self.dim), np.nan, np.result_type(*set(self._dtypes)))
        order = np.argsort(wanted, kind="stable")
        for file, (low, high) in enumerate(zip(self.edges, self.edges[1:], strict=False)):
            mine = order[(wanted[order] >= low) & (wanted[order] < high)]
            rows = wanted[mine] - low
            # One range of each block that holds some of them.
            cuts = np.flatnonzero(np.diff(rows // BLOCK_ROWS)) + 1
            parts = [part for part in np.split(np.arange(len(rows)), cuts) if len(part)]
            ranges = [(int(rows[part[0]]), int(rows[part[-1]]) + 1) for part in parts]
            for part, (start, piece) in zip(parts, self.pieces(file, ranges), strict=True):
                vectors[mine[part]] = piece[rows[part] - start]
        return vectors

    def search(self, queries: Array, k: int) -> list[list[int]]:
        """Return the nearest rows of each query, exactly, in flat memory."""
        size = max(1, min(BLOCK_ROWS, BLOCK_SCORES // max(1, len(queries))))
        blocks = ((batch.ids[0], batch.vectors) for batch in self.batches(size))
        return exact_search(blocks, queries, k, self.metric or "cosine")
