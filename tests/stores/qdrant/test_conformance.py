"""A collection of Qdrant in a folder passes what every store passes."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest
from qdrant_client import QdrantClient, models

from intertwine.errors import InputError
from intertwine.passes.migrate import MigrateOptions, migrate
from intertwine.testing import StoreConformance


# Each test opens the store anew.
@pytest.mark.quick(
    "test_facts",
    "test_every_item_is_brought_over",
    "test_goes_on_after_a_kill",
    "test_switch_and_roll_back",
    "test_refuses_wrong_targets",
)
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

    @pytest.mark.slow
    def test_searches_change_nothing(self, place, fitted):
        """What a check searches is not taken for changed vectors by the switch, nor by the next one."""
        for options in ({}, {"switch": True}, {"rollback": True}, {"switch": True}):
            summary = migrate(*place, fitted[1], options=MigrateOptions(**options))
            assert not any("at the switch itself" in note for note in summary["notes"])
            assert summary["written"] == (0 if options else len(self.ids))

    @pytest.mark.slow
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_a_switch_needs_an_alias(self, place, fitted, dry_run):
        """A collection that is addressed by its own name is refused before anything is written."""
        plain, target = place[0].replace("#live", "#items"), place[1]
        options = MigrateOptions(switch=True, dry_run=dry_run)
        with pytest.raises(
            InputError, match="whose name cannot stand for another; create an alias"
        ):
            migrate(plain, target, fitted[1], options=options)
        with closing(QdrantClient(path=place[0].partition(":")[2].partition("#")[0])) as client:
            assert not client.collection_exists("new")
        assert migrate(plain, target, fitted[1])["written"] == len(self.ids)
