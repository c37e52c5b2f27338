"""A collection of Qdrant in a folder passes what every store passes."""

from __future__ import annotations

import uuid
from contextlib import closing

from qdrant_client import QdrantClient, models

from intertwine.testing import StoreConformance


class TestFolder(StoreConformance):
    """A collection behind an alias, whose ids are numbers and UUIDs, in Qdrant's order."""

    ids = (*range(100), *sorted(str(uuid.UUID(int=7**i)) for i in range(20)))

    def addresses(self, folder):
        """Return an alias and a collection of a folder."""
        return f"qdrant:{folder}#live", f"qdrant:{folder}#new"

    def make(self, address, ids, vectors, texts):
        """Make a collection, and the alias where that is asked for."""
        folder, _, name = address.partition(":")[2].partition("#")
        params = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
        points = models.Batch(
            ids=list(ids), vectors=vectors.tolist(), payloads=[{"text": text} for text in texts]
        )
        with closing(QdrantClient(path=folder)) as client:
            collection = "items" if name == "live" else name
            client.create_collection(collection, vectors_config=params)
            client.upsert(collection, points)
            if name == "live":
                alias = models.CreateAlias(collection_name="items", alias_name="live")
                client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])

    def texts(self, address):
        """Return the texts of a collection."""
        folder, _, name = address.partition(":")[2].partition("#")
        with closing(QdrantClient(path=folder)) as client:
            points = client.retrieve(name, self.ids)
        found = {str(point.id): point.payload["text"] for point in points}
        return [found[str(item)] for item in self.ids]
