"""The points of a collection that a migration makes beside another: added, replaced, and removed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.stores.origins import KEPT, MAPPED
from intertwine.stores.qdrant.collection import (
    NOTE,
    aliases_of,
    collection_name,
    one_line,
    settings_like,
)
from intertwine.stores.qdrant.lease import Lease
from intertwine.stores.qdrant.ledger import (
    Entry,
    Ledger,
    Look,
    delete,
    look_at,
    look_of,
    origin_of,
    vectors_of,
)
from intertwine.stores.qdrant.store import PAGE, QdrantStore
from intertwine.stores.store import HALF, SINGLE, Batch
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Convert, MigrationRecord

# The first server that keeps metadata of a collection, where the record is kept.
OLDEST_SERVER = (1, 16)
# Characters of one request; servers refuse more than 32 MiB unless told otherwise.
LARGEST_REQUEST = 8 << 20
CHARACTERS_OF_A_NUMBER = 12
# Of a ledger's metadata: the step that is underway.
STEP = "step"


class NewCollection(QdrantStore):
    """A collection of the source's settings with new vectors, and a ledger of its points beside it.

    Points are looked up just before they are written, and a server that knows the mode (1.17 and later)
    is told to insert only. A point is written whole; of a batch that a kill cuts short the rest is
    pending. The ledger, a collection without vectors, notes of each point what it was made from and
    what it looks like. So points that change or go in the source are known, and so is what somebody
    else writes here, which stays.
    """

    def __init__(self, source: QdrantStore, address: Address, record: MigrationRecord) -> None:
        self.source, self.record = source, record
        params = source.collection.params.model_copy(update={"size": record.target.dim})
        if getattr(params.datatype, "value", None) == "uint8":
            params = params.model_copy(update={"datatype": None})
        collection = replace(
            source.collection, name=collection_name(address), alias=None, params=params
        )
        super().__init__(address, source.client, collection, source.secrets)
        half = getattr(params.datatype, "value", None) == "float16"
        self.tolerance = HALF if half else SINGLE
        self.ledger = Ledger(self)
        self.lease = Lease(self.ledger)
        # Whether the alias stands for this collection while it is brought up to date.
        self.live = False

    def close(self) -> None:
        """Leave the connection open: it is the source's."""

    def ask(self, what: str, *values: Any, **names: Any) -> Any:
        """Call a method of the client, and renew the note of this run."""
        answer = super().ask(what, *values, **names)
        if not what.startswith(("update_collection", "collection_exists")):
            self.lease.renew()
        return answer

    def require_fits(self, batch: Batch, vectors: Array) -> None:
        """Raise for numbers that are not finite."""
        del batch
        if not np.isfinite(vectors[~np.isnan(vectors[:, 0])]).all():
            raise InputError(f"{self.name}: mapped vectors have numbers that are not finite")

    def written_here(self, ids: Sequence[Any]) -> Array:
        """Return whether the points of some ids are as a migration wrote them, with a map's vector."""
        entries = self.ledger.read(list(dict.fromkeys(ids)))
        mapped = {i: e for i, e in entries.items() if e.origin.how == MAPPED}
        ours = mapped.keys() - self._altered(mapped)
        return np.array([str(item) in ours for item in ids], bool)

    def exists(self) -> bool:
        """Whether there is a collection of that name."""
        return bool(self.ask("collection_exists", self.collection.name))

    def create(self) -> None:
        """Make the collection with the source's settings, empty and with its record."""
        version = str(self.ask("info").version)
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_SERVER:
            raise InputError(
                f"{self.name}: got a Qdrant server of version {version}, expected 1.16 or later, "
                "which can note what a collection holds"
            )
        # First, so that a collection never stands without its ledger.
        self.ledger.create()
        if self.lease.held:
            self.lease.take()
        with one_line(self.secrets, self.address.shown):
            config = self.client.get_collection(self.source.collection.name).config
            settings = settings_like(config, self.collection, self.record.to_text())
            self.client.create_collection(self.collection.name, **settings)
        self._index_payload()

    def stale(self, source: QdrantStore, size: int) -> Iterator[Batch]:
        """Yield points of a source that are not here, or no longer as they are there."""
        waiting: list[Any] = []
        for page in source.scroll(size, with_payload=True, with_vectors=True):
            waiting += self._stale_records(page)
            while len(waiting) >= size:
                yield source.batch(waiting[:size])
                del waiting[:size]
        if waiting:
            yield source.batch(waiting)

    def _stale_records(self, page: list[Any]) -> list[Any]:
        """Return those records of the source that are not here as they are there."""
        ids = [record.id for record in page]
        here, entries = self._have(ids), self.ledger.read(ids)
        absent, changed = [], {}
        for record in page:
            item, entry = str(record.id), entries.get(str(record.id))
            if item not in here:
                # While the alias stands for this collection, a point that was here has been deleted.
                if entry is None or not self.live:
                    absent.append(item)
            elif entry is not None:
                now = origin_of(record, self.collection.vector)
                if len(entry.looks) > 1 or not entry.origin.same_source(now):
                    changed[item] = entry
        chosen = {*absent, *(changed.keys() - self._altered(changed))}
        if self.live:
            new = {str(r.id): origin_of(r, self.collection.vector).old for r in page}
            moved = {i: e for i, e in changed.items() if e.origin.old != new[i]}
            chosen |= self._only_edited(moved)
        return [record for record in page if str(record.id) in chosen]

    def _altered(self, entries: dict[str, Entry]) -> set[str]:
        """Return the points that are no longer as they were written here: somebody else's now."""
        return {i for i, look in self._looks(entries).items() if not entries[i].knows(look)}

    def _only_edited(self, entries: dict[str, Entry]) -> set[str]:
        """Return the points that somebody else edited here, but for their vector."""
        return {
            item
            for item, look in self._looks(entries).items()
            if not entries[item].knows(look)
            and any(known.same_vector(look) for known in entries[item].looks)
        }

    def _looks(self, entries: dict[str, Entry]) -> dict[str, Look]:
        """Return how points look here now."""
        ids = [int(item) if item.isdigit() else item for item in entries]
        return {
            str(record.id): look_at(record, self.collection.vector)
            for record in self.retrieve(ids, with_payload=True, with_vectors=True)
        }

    def _have(self, ids: list[Any]) -> set[str]:
        """Return which of some ids are here."""
        records = self.retrieve(ids, with_payload=False, with_vectors=False)
        return {str(record.id) for record in records}

    def write(self, batch: Batch, vectors: Array) -> int:
        """Add points, and replace those that a migration wrote of what was in the source before."""
        self.require_fits(batch, vectors)
        have, entries = self._have(batch.ids), self.ledger.read(batch.ids)
        kept = self._kept_vectors(batch, entries)
        # While the alias stands for this collection, what its owner edits here is the later change.
        edited = self._only_edited(entries) if self.live else set()
        fresh: list[tuple[Any, Entry]] = []
        old: list[tuple[Any, Entry]] = []
        turned: list[tuple[Any, Entry]] = []
        for record, vector in zip(batch.payload, vectors, strict=True):
            item = str(record.id)
            own = kept[item] if item in kept else None if np.isnan(vector[0]) else vector.tolist()
            others = vectors_of(record, self.collection.vector)[1]
            origin = origin_of(record, self.collection.vector, KEPT if item in kept else MAPPED)
            entry = Entry(origin, (look_of(record.payload, own, others),))
            if item not in have:
                fresh.append((self.point(record, own), entry))
            elif item in edited:
                turned.append((self.point(record, own), entry))
            elif item in entries:
                old.append((self.point(record, own), entry))
        ways = (
            (self._add, fresh),
            (partial(self._replace, entries), old),
            (partial(self._turn, entries), turned),
        )
        return sum(way(some) for way, points in ways for some in self._requests(points))

    def _requests(self, noted: list[tuple[Any, Entry]]) -> Iterator[list[tuple[Any, Entry]]]:
        """Yield points and their entries, as many as one request may hold."""
        some, weight = [], 0
        for point, entry in noted:
            some.append((point, entry))
            weight += CHARACTERS_OF_A_NUMBER * self.dim + len(str(point.payload))
            if weight >= LARGEST_REQUEST:
                yield some
                some, weight = [], 0
        if some:
            yield some

    def _add(self, noted: list[tuple[Any, Entry]]) -> int:
        """Insert points; an entry whose point is not there is no harm, but for a live collection."""
        entries = {point.id: entry for point, entry in noted}
        if not self.live:
            self.ledger.write(entries)
        wrote = self._insert([point for point, _ in noted])
        if self.live:
            self.ledger.write(entries)
        return wrote

    def _replace(self, before: dict[str, Entry], noted: list[tuple[Any, Entry]]) -> int:
        """Replace points that are still there; after a kill in between both states are known."""
        both = {
            point.id: Entry((b := before[str(point.id)]).origin, (*b.looks[:1], entry.look))
            for point, entry in noted
        }
        self.ledger.write(both)
        mode = self.models.UpdateMode.UPDATE_ONLY
        points = [point for point, _ in noted]
        self.ask("upsert", self.collection.name, points, wait=True, update_mode=mode)
        self.ledger.write({point.id: entry for point, entry in noted})
        return len(noted)

    def _turn(self, before: dict[str, Entry], noted: list[tuple[Any, Entry]]) -> int:
        """Replace the vectors alone of points that are still there; their notes keep the look of the rest."""
        name = self.collection.vector
        after, points = {}, []
        for point, entry in noted:
            known = before[str(point.id)]
            look = replace(known.looks[0], vector=entry.look.vector)
            after[point.id] = replace(entry, looks=(look,))
            own = point.vector if isinstance(point.vector, list) else point.vector.get(name)
            if own is not None:
                vector = {name: own} if name else own
                points.append(self.models.PointVectors(id=point.id, vector=vector))
        self.ledger.write(
            {
                item: Entry(before[str(item)].origin, (before[str(item)].looks[0], entry.look))
                for item, entry in after.items()
            }
        )
        if points:
            self.ask("update_vectors", self.collection.name, points=points, wait=True)
        gone = [point.id for point, _ in noted if point.id not in {each.id for each in points}]
        if gone:
            self.ask("delete_vectors", self.collection.name, [name], gone, wait=True)
        self.ledger.write(after)
        return len(noted)

    def _kept_vectors(self, batch: Batch, entries: dict[str, Entry]) -> dict[str, Any]:
        """Return the vectors of points whose own new vector stays, as the old one has not changed."""
        same = [
            record.id
            for record in batch.payload
            if (e := entries.get(str(record.id)))
            and e.origin.how == KEPT
            and e.origin.old == origin_of(record, self.collection.vector).old
        ]
        found = self.retrieve(same, with_payload=False, with_vectors=self.wanted)
        return {str(record.id): self.vector_of(record) for record in found}

    def point(self, record: Any, vector: Any) -> Any:
        """Return a point of the source with another vector."""
        name = self.collection.vector
        vectors = vectors_of(record, name)[1]
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

    def catch_up(self, source: QdrantStore, convert: Convert) -> tuple[int, int]:
        """Bring this collection to a source; return how many points were written and removed."""
        written = 0
        for batch in self.stale(source, PAGE):
            written += self.write(batch, convert(batch))
            if left := self._stale_records(batch.payload):
                raise InputError(
                    f"{self.name}: {counted(len(left), 'item was', 'items were')} not written, such as {left[0].id!r}; "
                    "nothing was switched over"
                )
        return written, self.remove_gone(source)

    def remove_gone(self, source: QdrantStore) -> int:
        """Remove points that a migration wrote and a source no longer has; return how many.

        A source that holds nothing at all raises an error: that is hardly meant.
        """
        removed, seen = 0, False
        for ids in self.ledger.pages():
            if not seen and not self.ask("count", source.collection.name, exact=True).count:
                raise InputError(
                    f"{source.name} holds no points any more; nothing was removed from {self.name}, "
                    "and nothing is switched over"
                )
            seen = True
            records = source.retrieve(ids, with_payload=False, with_vectors=False)
            there = {str(record.id) for record in records}
            lost = [item for item in ids if str(item) not in there]
            if lost:
                entries = self.ledger.read(lost)
                theirs = self._altered(entries)
                delete(self, self.collection.name, [i for i in lost if str(i) not in theirs])
                self.ledger.remove(lost)
                removed += len(lost) - len(theirs)
        return removed

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

    def switched(self) -> bool:
        """Whether the source's alias stands for this collection."""
        return self.stands_for() == self.collection.name

    def note(self, record: MigrationRecord, step: str = "") -> None:
        """Note a record, and a step under way: the step first, or last that there is none."""
        if step:
            self.ledger.note(STEP, step)
        self.ask("update_collection", self.collection.name, metadata={NOTE: record.to_text()})
        if not step:
            self.ledger.note(STEP, "")

    def step(self) -> str:
        """Return which step was under way when it was noted last."""
        if not self.exists() or not self.ledger.exists():
            return ""
        return str(self.ledger.metadata().get(STEP) or "")

    def stands_for(self) -> str | None:
        """Return the collection that the source's alias stands for now."""
        with one_line(self.secrets, self.address.shown):
            return aliases_of(self.client).get(self.source.collection.alias or "")

    def alias_of(self) -> str:
        """Return the alias that is switched; a source must be addressed by one."""
        alias = self.source.collection.alias
        if alias is None:
            raise InputError(
                f"{self.source.name} is a collection, whose name cannot stand for another; create an "
                "alias of it, let your programs use that, and give the alias as the source"
            )
        return alias
