"""Vectors in a Qdrant collection, on a server or in a local folder."""

from __future__ import annotations

import hashlib
import heapq
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.extras import import_extra
from intertwine.stores.exact_search import exact_search
from intertwine.stores.qdrant.collection import (
    EXTRA,
    NOTE,
    OPTIONS,
    Collection,
    collection_name,
    connect,
    find_collection,
    one_line,
)
from intertwine.stores.store import Batch, MigrationRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Metric

# Ids of one request.
PAGE = 1000


def open_store(address: Address) -> QdrantStore:
    """Open `qdrant://HOST:PORT/COLLECTION` or `qdrant:FOLDER#COLLECTION`.

    Options are `vector=NAME`, where items have several vectors, and for a server `https=1` and
    `api_key=…`; the key may come from `QDRANT_API_KEY` instead, and no error shows it. An alias
    serves as a name.
    """
    address.only(*OPTIONS)
    asked = collection_name(address)
    client, secrets = connect(address)
    try:
        with one_line(secrets, address.shown):
            found = find_collection(client, asked, address.options.get("vector"), address.shown)
        return QdrantStore(address, client, found, secrets)
    except BaseException:
        client.close()
        raise


class QdrantStore:
    """The vectors of a collection, one an item.

    Qdrant stores vectors of cosine collections at length 1, so what is read back is what was
    written divided by its length. Points may lack the vector; they are items all the same. The
    client is closed with the store.
    """

    def __init__(
        self, address: Address, client: Any, collection: Collection, secrets: tuple[str, ...]
    ) -> None:
        self.address, self.client, self.collection = address, client, collection
        self.secrets = secrets
        chosen = address.options.get("vector")
        self.name = f"{address.shown} (vector {chosen})" if chosen else address.shown
        self.dim = int(collection.params.size)
        self.metric: Metric | None = collection.metric
        self.models = import_extra("qdrant_client.models", EXTRA)

    def close(self) -> None:
        """Close the connection, or the folder."""
        self.client.close()

    def ask(self, what: str, *values: Any, **names: Any) -> Any:
        """Call a method of the client, with its errors as one line."""
        with one_line(self.secrets, self.address.shown):
            return getattr(self.client, what)(*values, **names)

    @property
    def _there(self) -> Any:
        """The condition that an item has the vector."""
        has = self.models.HasVectorCondition(has_vector=self.collection.vector)
        return self.models.Filter(must=[has])

    def count(self) -> int:
        """Return the number of items that have the vector."""
        return int(self.ask("count", self.collection.name, self._there, exact=True).count)

    def scroll(self, size: int, after: Any = None, **names: Any) -> Iterator[list[Any]]:
        """Yield records in the order of their ids, a page a request, beginning behind an id."""
        offset = after
        while True:
            page, offset = self.ask(
                "scroll", self.collection.name, limit=size, offset=offset, **names
            )
            # A page begins with its offset.
            page = [record for record in page if after is None or str(record.id) != str(after)]
            if page:
                yield page
            if offset is None:
                return

    def batches(self, size: int, after: Any = None) -> Iterator[Batch]:
        """Yield items in the order of their ids, without those that lack the vector."""
        wanted = self.wanted
        for page in self.scroll(
            size, after, scroll_filter=self._there, with_payload=False, with_vectors=wanted
        ):
            yield self.batch(page)

    @property
    def wanted(self) -> Any:
        """Which vectors to ask for where only these are needed."""
        return [self.collection.vector] if self.collection.vector else True

    def vector_of(self, record: Any) -> Any:
        """Return the vector of a record; None where it has none."""
        found = record.vector
        if isinstance(found, dict):
            found = found.get(self.collection.vector)
        return found or None

    def batch(self, records: list[Any]) -> Batch:
        """Return records as a batch; its payload is the records."""
        vectors = np.full((len(records), self.dim), np.nan, np.float32)
        for row, record in enumerate(records):
            found = self.vector_of(record)
            if found is not None:
                vectors[row] = found
        return Batch([record.id for record in records], vectors, records)

    def retrieve(self, ids: Sequence[Any], **names: Any) -> list[Any]:
        """Return the records of some ids, those left out that are not there."""
        found = []
        for first in range(0, len(ids), PAGE):
            some = list(ids[first : first + PAGE])
            found += self.ask("retrieve", self.collection.name, some, **names)
        return found

    def sample(self, size: int) -> Batch:
        """Return the items whose ids have the smallest hashes, of all."""
        pages = self.scroll(
            10 * PAGE, scroll_filter=self._there, with_payload=False, with_vectors=False
        )
        ids = (record.id for page in pages for record in page)
        chosen = heapq.nsmallest(size, ids, key=_hash)
        return self.batch(self.retrieve(chosen, with_payload=False, with_vectors=self.wanted))

    def read(self, ids: Sequence[Any]) -> Array:
        """Return the vectors of items, a row of NaN where there is none."""
        vectors = np.full((len(ids), self.dim), np.nan, np.float32)
        places: dict[str, list[int]] = {}
        for place, item in enumerate(ids):
            places.setdefault(str(item), []).append(place)
        once = [ids[rows[0]] for rows in places.values()]
        found = self.batch(self.retrieve(once, with_payload=False, with_vectors=self.wanted))
        for item, vector in zip(found.ids, found.vectors, strict=True):
            vectors[places[str(item)]] = vector
        return vectors

    def search(self, queries: Array, k: int) -> list[list[Any]]:
        """Return the nearest items of each query, as Qdrant finds them."""
        if self.metric == "cosine" and not self.address.place.startswith("//"):
            return self._search_folder(queries, k)
        using = self.collection.vector or None
        asked = [
            self.models.QueryRequest(query=query.tolist(), limit=k, using=using)
            for query in np.asarray(queries, np.float32)
        ]
        found = []
        for first in range(0, len(asked), 100):
            some = asked[first : first + 100]
            found += self.ask("query_batch_points", self.collection.name, some)
        return [[point.id for point in answer.points] for answer in found]

    def _search_folder(self, queries: Array, k: int) -> list[list[Any]]:
        """Return the nearest items of a folder, where Qdrant's own search changes vectors' last bits.

        It scales those that it holds to length 1 once more, so that all would seem to have changed.
        """
        ids: list[Any] = []

        def blocks() -> Iterator[tuple[int, Array]]:
            for batch in self.batches(PAGE):
                ids.extend(batch.ids)
                yield len(ids) - len(batch.ids), batch.vectors

        found = exact_search(blocks(), np.asarray(queries, np.float32), k, "cosine")
        return [[ids[row] for row in rows] for rows in found]

    def mark(self) -> MigrationRecord | None:
        """Return the record in the collection's metadata."""
        config = self.ask("get_collection", self.collection.name).config
        return MigrationRecord.from_text((config.metadata or {}).get(NOTE))


def _hash(item: Any) -> bytes:
    return hashlib.blake2b(str(item).encode(), digest_size=8).digest()
