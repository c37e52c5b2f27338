"""A new Qdrant collection beside another: filled, indexed, and what an alias stands for when told."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.stores.qdrant import QdrantStore
from intertwine.stores.qdrant_address import collection_name, target_address
from intertwine.stores.qdrant_facts import NOTE, aliases_of, one_line, settings_like
from intertwine.stores.store import HALF, SINGLE, require_ours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Batch, Convert, Mark

# The first server that keeps metadata of a collection, where marks stand.
OLDEST_SERVER = (1, 16)
# Characters of one request; servers refuse more than 32 MiB unless told otherwise.
LARGEST_REQUEST = 8 << 20
CHARACTERS_OF_A_NUMBER = 12
# How long a server is waited for that builds its index.
SECONDS_TO_INDEX = 3600
SECONDS_BETWEEN = 1


def target_of(source: QdrantStore, text: str, mark: Mark) -> QdrantTarget:
    """Return the collection that an address names, beside a source."""
    return QdrantTarget(source, target_address(source, text, mark), mark)


class QdrantTarget(QdrantStore):
    """A collection that a migration makes in the source's place.

    Points are only ever added: ids are looked up just before, and a server that knows the mode (1.17
    and later) is told to insert only. A point is written whole; of a batch that a kill
    cuts short the rest is pending. Other vectors of the source's points and their payload travel
    with them. Vectors of cosine collections are stored at length 1.

    Parameters
    ----------
    source
        The collection that points come from; its client serves this one too.
    address
        Of this one.
    made
        The mark that it bears.
    """

    reads_beside_writes = False
    writers = 1

    def __init__(self, source: QdrantStore, address: Address, made: Mark) -> None:
        self.source, self.made = source, made
        params = source.collection.params.model_copy(update={"size": made.target.dim})
        if getattr(params.datatype, "value", None) == "uint8":
            params = params.model_copy(update={"datatype": None})
        collection = replace(
            source.collection, name=collection_name(address), alias=None, params=params
        )
        super().__init__(address, source.client, collection, source.secrets)
        half = getattr(params.datatype, "value", None) == "float16"
        self.tolerance = HALF if half else SINGLE

    def close(self) -> None:
        """Leave the connection to the source."""

    def lock(self) -> AbstractContextManager[None]:
        """Hold nothing yet."""
        return nullcontext()

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise nothing yet."""
        del force
        return []

    def require_fits(self, batch: Batch, vectors: Array) -> None:
        """Raise nothing yet."""

    def written_here(self, ids: Sequence[Any]) -> Array:
        """Return that none is known to be a migration's."""
        return np.zeros(len(ids), bool)

    def missing(self) -> int:
        """Return how many points have no vector."""
        return int(self.ask("count", self.collection.name, exact=True).count) - self.count()

    def exists(self) -> bool:
        """Whether there is a collection of that name."""
        return bool(self.ask("collection_exists", self.collection.name))

    def create(self) -> None:
        """Make the collection with the source's settings, empty and marked."""
        version = str(self.ask("info").version)
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_SERVER:
            raise InputError(
                f"{self.name}: got a Qdrant server of version {version}, expected 1.16 or later, "
                "which can note what a collection holds"
            )
        with one_line(self.secrets):
            config = self.client.get_collection(self.source.collection.name).config
            settings = settings_like(config, self.collection, self.made.to_text())
            self.client.create_collection(self.collection.name, **settings)
        self._index_payload()

    def pending(self, size: int) -> Iterator[Batch]:
        """Give the source's points that are not here, with payload and all their vectors."""
        if self.switched():
            return
        missing: list[Any] = []
        for page in self.source.scroll(size, with_payload=False, with_vectors=False):
            ids = [record.id for record in page]
            have = self._have(ids)
            missing += [item for item in ids if str(item) not in have]
            while len(missing) >= size:
                yield from self._load(missing[:size])
                del missing[:size]
        if missing:
            yield from self._load(missing)

    def _load(self, ids: list[Any]) -> Iterator[Batch]:
        records = self.source.retrieve(ids, with_payload=True, with_vectors=True)
        if records:
            yield self.source.batch(records)

    def _have(self, ids: list[Any]) -> set[str]:
        """Return which of some ids are here."""
        records = self.retrieve(ids, with_payload=False, with_vectors=False)
        return {str(record.id) for record in records}

    def write(self, batch: Batch, vectors: Array) -> int:
        """Add points, leaving out ids that are here already; return when the server has them."""
        absent = np.isnan(vectors[:, 0])
        if not np.isfinite(vectors[~absent]).all():
            raise InputError(f"{self.name}: mapped vectors have numbers that are not finite")
        have, written = self._have(batch.ids), 0
        points, weight = [], 0
        for record, vector, gone in zip(batch.payload, vectors, absent, strict=True):
            if str(record.id) in have:
                continue
            points.append(self._point(record, None if gone else vector.tolist()))
            weight += CHARACTERS_OF_A_NUMBER * self.dim + len(str(record.payload))
            if weight >= LARGEST_REQUEST:
                written += self._insert(points)
                points, weight = [], 0
        return written + (self._insert(points) if points else 0)

    def _point(self, record: Any, vector: list[float] | None) -> Any:
        """Return a point of the source with its new vector."""
        name = self.collection.vector
        others = record.vector if isinstance(record.vector, dict) else {}
        vectors = {key: value for key, value in others.items() if key != name}
        whole: Any = vectors if vector is None else {**vectors, name: vector}
        return self.models.PointStruct(
            id=record.id,
            vector=vector if vector and not name and not vectors else whole,
            payload=record.payload,
        )

    def _insert(self, points: list[Any]) -> int:
        mode = self.models.UpdateMode.INSERT_ONLY
        self.ask("upsert", self.collection.name, points, wait=True, update_mode=mode)
        return len(points)

    def _index_payload(self) -> list[str]:
        """Index the payload as the source's is, where it is not yet."""
        own, there = (
            self.ask("get_collection", name).payload_schema
            for name in (self.collection.name, self.source.collection.name)
        )
        for field in (missing := [field for field in there if field not in own]):
            schema = there[field].params or there[field].data_type
            self.ask("create_payload_index", self.collection.name, field, schema, wait=True)
        return missing

    def finish(self) -> list[str]:
        """Index the payload as the source's is, and wait for the index of the vectors."""
        if self.switched():
            return []
        missing = self._index_payload()
        notes = [f"built an index of the payload's {field}" for field in missing]
        end = time.monotonic() + SECONDS_TO_INDEX
        while self.ask("get_collection", self.collection.name).status.value == "yellow":
            if time.monotonic() > end:
                notes.append("Qdrant still builds its index; searches are slower until it is done")
                break
            time.sleep(SECONDS_BETWEEN)
        return notes

    def switched(self) -> bool:
        """Whether the source's alias stands for this collection."""
        with one_line(self.secrets):
            found = aliases_of(self.client).get(self.source.collection.alias or "")
        return found == self.collection.name

    def _alias(self) -> str:
        alias = self.source.collection.alias
        if alias is None:
            raise InputError(
                f"{self.source.name} is a collection, whose name cannot stand for another; create an "
                "alias of it, let your programs use that, and give the alias as the source"
            )
        return alias

    def switch(self, convert: Convert) -> list[str]:
        """Let the source's alias stand for this collection, in one step for all readers.

        Raises
        ------
        InputError
            Where the source was not addressed by an alias, or points are missing here.
        """
        del convert
        alias = self._alias()
        if self.switched():
            return []
        old = self.source.collection.name
        own, there = (
            self.ask("count", name, exact=True).count for name in (self.collection.name, old)
        )
        if own < there:
            raise InputError(f"{self.name} lacks points of {self.source.name}; migrate them first")
        self._note(self.made.switched(old))
        self._point_alias(alias, self.collection.name)
        return []

    def rollback(self, *, force: bool = False) -> list[str]:
        """Let the alias stand for the old collection again; open the source anew to read that."""
        del force
        alias, found = self._alias(), self.mark()
        if not self.switched() or found is None or found.kept is None:
            raise InputError(f"{self.source.name} is not switched over; nothing to roll back")
        self._point_alias(alias, found.kept)
        self._note(self.made.switched(None))
        return []

    def _note(self, mark: Mark) -> None:
        self.ask("update_collection", self.collection.name, metadata={NOTE: mark.to_text()})

    def _point_alias(self, alias: str, collection: str) -> None:
        models = self.models
        gone = models.DeleteAlias(alias_name=alias)
        new = models.CreateAlias(collection_name=collection, alias_name=alias)
        steps = [
            models.DeleteAliasOperation(delete_alias=gone),
            models.CreateAliasOperation(create_alias=new),
        ]
        self.ask("update_collection_aliases", steps)

    def drop(self) -> None:
        """Remove the collection."""
        if self.switched():
            raise InputError(f"{self.source.name} stands for these vectors; roll back first")
        if self.exists():
            require_ours(self.mark(), self.made, self.name)
            self.ask("delete_collection", self.collection.name)
