"""A FAISS index that a migration builds beside that of its source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.files import atomic_path
from intertwine.stores.faiss.index import empty_like, fill, from_factory, reason_of
from intertwine.stores.faiss.store import FaissStore
from intertwine.stores.rows.target import RowTarget, require_others
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array
    from intertwine.storage.npy import NpyFile
    from intertwine.stores.address import Address
    from intertwine.stores.store import MigrationRecord

# Names of indexes that keep vectors as they are begin so.
EXACT = ("IndexFlat", "IndexHNSWFlat", "IndexIVFFlat", "IndexRefine", "IndexNSGFlat")


def target_of(source: FaissStore, text: str, record: MigrationRecord) -> FaissTarget:
    """Return the index file that an address names, beside a source.

    An index that cannot be built is refused here, before hours of work.
    """
    address = source.address.beside(text)
    address.only("factory")
    place = Path(address.place)
    if address.part or place.is_dir():
        raise InputError(f"got target {address.shown}, expected faiss:FILE, a file to write")
    require_others(source, [place])
    target = FaissTarget(source, address, [place], record)
    # Now, not after hours: what cannot be built is known from the start.
    target.empty()
    return target


class FaissTarget(RowTarget):
    """An index of the source's kind and settings, or of another kind that was asked for.

    Vectors are kept in a `.npy` until all are there; `finish` builds the index, which FAISS holds
    in memory whole.
    """

    making = "at the end"

    def __init__(
        self, source: FaissStore, address: Address, outputs: list[Path], record: MigrationRecord
    ) -> None:
        super().__init__(source, address, outputs, record)
        self._index = source

    def empty(self) -> Any:
        """Return the index to build, with nothing in it."""
        given = self._index.index
        if "factory" not in self.address.options:
            return empty_like(given, self.dim, self.name)
        return from_factory(
            self.address.take("factory"),
            self.dim,
            given.metric_type,
            with_ids=self._index.ids is not None,
            name=self.name,
        )

    def build(self, file: int, rows: NpyFile) -> None:
        """Build the index and write it, atomically."""
        faiss = import_extra("faiss", "faiss")
        index = self.empty()
        fill(index, rows, self._index.ids, self.name)
        with atomic_path(self.outputs[file]) as temporary:
            try:
                faiss.write_index(index, str(temporary))
            except RuntimeError as error:
                raise InputError(f"cannot write {self.outputs[file]}: {reason_of(error)}") from None

    def notes(self) -> list[str]:
        """Return which index was built, and what its vectors were."""
        notes = [f"built an index as {self.address.options.get('factory', 'the source has')}"]
        kind = type(self._index.inner).__name__
        if not kind.startswith(EXACT):
            notes.append(
                f"what was mapped are vectors as given back by {kind}, which rounds them; from the "
                "original vectors the index would be better"
            )
        return notes

    def as_stored(self, vectors: Array) -> Array:
        """Return vectors as the codes of the finished index return them."""
        index: Any = self.whole()
        return np.asarray(index.as_stored(vectors))

    def opened(self) -> FaissStore:
        """Return the finished index as a store."""
        return FaissStore(self.address, self.outputs[0])

    def described(self, path: Path) -> str:
        """Return in words which ids a file holds that were not switched in."""
        index = FaissStore(replace(self.address, place=str(path), options={}), path)
        known = self._index.ids if self._index.ids is not None else np.arange(self._index.count())
        there = index.ids if index.ids is not None else np.arange(index.count())
        differences = [
            f"{len(ids)} {what}, such as {ids[0]}"
            for what, ids in (
                ("added", np.setdiff1d(there, known)),
                ("removed", np.setdiff1d(known, there)),
            )
            if len(ids)
        ]
        return f"it holds {counted(index.count(), 'item')} now ({'; '.join(differences) or 'of the same ids'})"
