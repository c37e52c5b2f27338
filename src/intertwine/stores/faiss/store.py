"""Vectors in a FAISS index file: any index that can return them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.stores.faiss.index import ids_in_lists, read_index, reason_of
from intertwine.stores.rows.store import RowStore
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Metric

EXTRA = "faiss"


def open_store(address: Address) -> FaissStore:
    """Open `faiss:FILE`.

    FAISS works in memory. A file of up to 1 GiB is read whole. A larger one is mapped where this
    version of FAISS can, vectors, lists and links alike: the system takes pages back where memory
    is short, and the file must not be written to in place meanwhile. A target's index is built in
    memory, whole, in any case. Ids that are not row numbers take 16 bytes an item, and an IVF index
    8 to 40 more to find vectors by.
    """
    address.only()
    if address.part:
        raise InputError(f"got {address.shown}, but a FAISS file holds one index; leave out #…")
    return FaissStore(address, Path(address.place))


class FaissStore(RowStore):
    """The vectors of an index, in the order of their ids inside it."""

    def __init__(self, address: Address, path: Path) -> None:
        super().__init__(address, [path], None)
        faiss = import_extra("faiss", EXTRA)
        file = self.shown(path)
        self.index = read_index(file)
        metrics: dict[int, Metric] = {faiss.METRIC_INNER_PRODUCT: "ip", faiss.METRIC_L2: "l2"}
        if self.index.metric_type not in metrics:
            raise InputError(
                f"{self.name}: got metric {self.index.metric_type} of FAISS, expected inner products or L2"
            )
        self.metric = metrics[self.index.metric_type]
        self.dim, self.sizes = int(self.index.d), [int(self.index.ntotal)]
        try:
            self.ids, self._keys = self._find_ids(faiss)
        except (RuntimeError, MemoryError) as error:
            raise FileFormatError(f"{self.name}: a damaged index ({reason_of(error)})") from None
        self._order = None if self.ids is None else np.argsort(self.ids, kind="stable")
        self._require_single()
        self._require_vectors()

    def _find_ids(self, faiss: Any) -> tuple[Array | None, Array | None]:
        """Return the ids that are not row numbers, and the keys by which rows are found inside."""
        self.inner = self.index
        if isinstance(self.index, faiss.IndexIDMap):
            self.inner = faiss.downcast_index(self.index.index)
        inner = (self.inner.d, self.inner.ntotal)
        if inner != (self.dim, self.sizes[0]):
            raise FileFormatError(f"{self.name}: a damaged index ({inner} inside, not of one size)")
        lists = faiss.try_extract_index_ivf(self.inner)
        ids = keys = None
        if lists is not None:
            ids = ids_in_lists(faiss, lists)
            self._require_as_many(ids)
            if np.array_equal(ids, np.arange(len(ids))):
                ids = None
                lists.make_direct_map()
            else:
                keys = ids
                lists.set_direct_map_type(faiss.DirectMap.Hashtable)
        if self.inner is not self.index:
            ids = faiss.vector_to_array(self.index.id_map)
            self._require_as_many(ids)
        return ids, keys

    def _require_as_many(self, ids: Array) -> None:
        if len(ids) != self.sizes[0]:
            raise FileFormatError(
                f"{self.name}: holds {counted(len(ids), 'id')} for {counted(self.sizes[0], 'vector')}"
            )

    def _require_single(self) -> None:
        if self.ids is None or self._order is None:
            return
        ordered = self.ids[self._order]
        twice = np.flatnonzero(ordered[1:] == ordered[:-1])
        if len(twice):
            raise InputError(
                f"{self.name}: id {ordered[twice[0]]} stands there more than once; expected each id "
                "once: a vector is read and found by its id"
            )

    def _require_vectors(self) -> None:
        try:
            if self.sizes[0]:
                self._rows(0, 1)
        except (RuntimeError, InputError) as error:
            raise InputError(
                f"{self.name}: {type(self.index).__name__} cannot give its vectors back "
                f"({reason_of(error)}); build it again from the vectors"
            ) from None

    def _rows(self, start: int, stop: int) -> Array:
        try:
            if self._keys is not None:
                found = self.inner.reconstruct_batch(self._keys[start:stop])
            else:
                found = self.inner.reconstruct_n(start, stop - start)
        except RuntimeError as error:
            raise InputError(f"{self.name}: {reason_of(error)}") from None
        return np.asarray(found)

    def dtype_of(self, file: int) -> np.dtype[Any]:
        """Return float32, the only type of FAISS."""
        del file
        return np.dtype(np.float32)

    def pieces(self, file: int, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, Array]]:
        """Yield ranges of rows as (first row, vectors)."""
        del file
        for start, stop in ranges:
            yield start, self._rows(start, stop)

    def ids_of(self, rows: range) -> list[int]:
        """Return the ids of some rows."""
        if self.ids is None:
            return list(rows)
        return self.ids[rows.start : rows.stop].tolist()  # type: ignore[no-any-return] # integers

    def row_behind(self, item: Any) -> int:
        """Return the row that follows an item's."""
        row = int(self._rows_of(np.asarray([item]))[0])
        if row < 0:
            raise InputError(f"{self.name}: has no item {item} to begin behind")
        return row + 1

    def _rows_of(self, ids: Array) -> Array:
        """Return the rows of ids, −1 where there is none."""
        if self.ids is None or self._order is None:
            return np.where((ids >= 0) & (ids < self.sizes[0]), ids, -1)
        at = np.searchsorted(self.ids, ids, sorter=self._order)
        rows = self._order[np.minimum(at, max(len(self.ids) - 1, 0))] if len(self.ids) else at
        return np.where(self.ids[rows] == ids, rows, -1) if len(self.ids) else np.full(len(ids), -1)

    def read(self, ids: Sequence[Any]) -> Array:
        """Return the vectors of items, a row of NaN where there is none."""
        rows = self._rows_of(np.asarray(ids, np.int64))
        vectors = np.full((len(rows), self.dim), np.nan, np.float32)
        there = np.flatnonzero(rows >= 0)
        if len(there):
            keys = rows[there] if self._keys is None else self._keys[rows[there]]
            try:
                vectors[there] = self.inner.reconstruct_batch(keys)
            except RuntimeError as error:
                raise InputError(f"{self.name}: {reason_of(error)}") from None
        return vectors

    def as_stored(self, vectors: Array) -> Array:
        """Return vectors as the index would return them, by its own codes."""
        faiss = import_extra("faiss", EXTRA)
        # A graph keeps its vectors in another index.
        storage = getattr(self.inner, "storage", None)
        codec = self.inner if storage is None else faiss.downcast_index(storage)
        given = np.ascontiguousarray(vectors, np.float32)
        try:
            return np.asarray(codec.sa_decode(codec.sa_encode(given)))
        except RuntimeError:  # it has no codes: it keeps vectors as they are
            return given

    def search(self, queries: Array, k: int) -> list[list[int]]:
        """Return what the index finds for each query."""
        try:
            _, found = self.index.search(np.ascontiguousarray(queries, np.float32), k)
        except RuntimeError as error:
            raise InputError(f"{self.name}: {reason_of(error)}") from None
        return [[item for item in each if item >= 0] for each in found.tolist()]
