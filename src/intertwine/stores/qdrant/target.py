"""A new Qdrant collection beside another: filled, kept up with the source, and indexed."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.storage.locks import one_run
from intertwine.stores.origins import KEPT, MAPPED
from intertwine.stores.qdrant import switch as qdrant_switch
from intertwine.stores.qdrant.collection import (
    NOTE,
    OPTIONS,
    aliases_of,
    collection_name,
    hindrances,
    one_line,
    server_of,
    settings_like,
)
from intertwine.stores.qdrant.lease import Lease
from intertwine.stores.qdrant.ledger import (
    Entry,
    Ledger,
    delete,
    look_at,
    look_of,
    origin_of,
    vectors_of,
)
from intertwine.stores.qdrant.store import PAGE, QdrantStore
from intertwine.stores.store import HALF, SINGLE, Batch, require_ours
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Convert, MigrationRecord

# The first server that keeps metadata of a collection, where marks stand.
OLDEST_SERVER = (1, 16)
# Characters of one request; servers refuse more than 32 MiB unless told otherwise.
LARGEST_REQUEST = 8 << 20
CHARACTERS_OF_A_NUMBER = 12
# How long a server is waited for that builds its index.
SECONDS_TO_INDEX = 3600
SECONDS_BETWEEN = 1
# Of a ledger's metadata: the step that is underway.
STEP = "step"


def target_of(source: QdrantStore, text: str, mark: MigrationRecord) -> QdrantTarget:
    """Return the collection that an address names, beside a source."""
    return QdrantTarget(source, target_address(source, text, mark), mark)


class QdrantTarget(QdrantStore):
    """A collection that a migration makes in the source's place.

    Points are looked up just before they are written, and a server that knows the mode (1.17 and later)
    is told to insert only. A point is written whole; of a batch that a kill cuts short the rest is
    pending. Other vectors of the source's points and their payload travel with them. Vectors of cosine
    collections are stored at length 1. A ledger beside the collection, itself a collection without
    vectors, notes of each point what it was made from and what it looks like. So points that change
    or go in the source are known, and so is what somebody else writes here, which stays.

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

    def __init__(self, source: QdrantStore, address: Address, made: MigrationRecord) -> None:
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
        self.ledger = Ledger(self)
        self.lease = Lease(self.ledger)
        # Whether the alias stands for this collection while it is brought up to date.
        self.live = False

    def close(self) -> None:
        """Leave the connection to the source."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the collection for one run: of this machine by a file, and of others by a note."""
        place = server_of(self.address)
        if not place.startswith("//"):
            place = str(Path(place).resolve())
        name = sha256(f"{place} {self.collection.name}".encode()).hexdigest()[:16]
        with one_run(Path(gettempdir(), "intertwine-locks", f"qdrant-{name}")):
            self.lease.take()
            try:
                yield
            except BaseException:
                # The server may be what went wrong.
                with suppress(InputError):
                    self.lease.end()
                raise
            self.lease.end()

    def ask(self, what: str, *values: Any, **names: Any) -> Any:
        """Call a method of the client, and renew the note of this run."""
        answer = super().ask(what, *values, **names)
        if not what.startswith(("update_collection", "collection_exists")):
            self.lease.renew()
        return answer

    def require_name(self) -> None:
        """Raise where the source was not addressed by an alias."""
        qdrant_switch.alias_of(self)

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise for what a switch would leave behind, before anything is written.

        Raises
        ------
        InputError
            For other aliases of the source, unless it is forced, and settings that are in the way.
        """
        with one_line(self.secrets, self.address.shown):
            config = self.client.get_collection(self.source.collection.name).config
        warnings = hindrances(config, self.source.name)
        own = self.source.collection
        with one_line(self.secrets, self.address.shown):
            others = [
                alias
                for alias, name in aliases_of(self.client).items()
                if name == own.name and alias != own.alias
            ]
        if own.alias is not None and others:
            said = (
                f"{own.name} has other aliases too ({', '.join(sorted(others))}), which a switch of "
                f"{own.alias} leaves on the old vectors"
            )
            if not force:
                raise InputError(
                    f"{self.source.name}: {said}; remove them, or accept that with --force"
                )
            warnings.append(said)
        if self.exists():
            require_ours(self.mark(), self.made, self.name)
            self._require_ledger()
        return warnings

    def _require_ledger(self) -> None:
        if not self.ledger.exists():
            raise InputError(
                f"{self.name}: its ledger, the collection {self.ledger.name!r}, is missing, which says "
                f"what points were made from; delete {self.collection.name!r} and migrate again"
            )

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
        # First, so that a collection never stands without its ledger.
        self.ledger.create()
        if self.lease.held:
            self.lease.take()
        with one_line(self.secrets, self.address.shown):
            config = self.client.get_collection(self.source.collection.name).config
            settings = settings_like(config, self.collection, self.made.to_text())
            self.client.create_collection(self.collection.name, **settings)
        self._index_payload()

    def pending(self, size: int) -> Iterator[Batch]:
        """Yield points that are not here, or changed since, with payload and all their vectors.

        After a switch that was killed, what was written to the source while it ran is left to do.
        """
        yield from qdrant_switch.carry_unfinished(self, size)
        if not self.switched():
            yield from self.stale(self.source, size)

    def stale(self, source: QdrantStore, size: int) -> Iterator[Batch]:
        """Yield points of a source that are not here, or not any more as they are there."""
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
        return [record for record in page if str(record.id) in chosen]

    def _altered(self, entries: dict[str, Entry]) -> set[str]:
        """Return the points that are not any more as they were written here: somebody else's now."""
        ids = [int(item) if item.isdigit() else item for item in entries]
        return {
            str(record.id)
            for record in self.retrieve(ids, with_payload=True, with_vectors=True)
            if not entries[str(record.id)].knows(look_at(record, self.collection.vector))
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
        fresh: list[tuple[Any, Entry]] = []
        old: list[tuple[Any, Entry]] = []
        for record, vector in zip(batch.payload, vectors, strict=True):
            item = str(record.id)
            own = kept[item] if item in kept else None if np.isnan(vector[0]) else vector.tolist()
            others = vectors_of(record, self.collection.vector)[1]
            origin = origin_of(record, self.collection.vector, KEPT if item in kept else MAPPED)
            entry = Entry(origin, (look_of(record.payload, own, others),))
            if item not in have:
                fresh.append((self.point(record, own), entry))
            elif item in entries:
                old.append((self.point(record, own), entry))
        add, replace_them = self._add, partial(self._replace, entries)
        return sum(map(add, self._requests(fresh))) + sum(map(replace_them, self._requests(old)))

    def _requests(self, noted: list[tuple[Any, Entry]]) -> Iterator[list[tuple[Any, Entry]]]:
        """Yield points and their entries, so many as one request may hold."""
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
        """Replace points that are still there; should a kill come between, they are known in both states."""
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
        """Bring this collection to a source; return how many points were written and removed.

        Raises
        ------
        InputError
            Where a write did not take, naming an item.
        """
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
        """Remove points that a migration wrote and a source has not any more; return how many.

        Raises
        ------
        InputError
            Where the source holds nothing at all: that is hardly meant.
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

    def finish(self) -> list[str]:
        """Remove what is gone, index the payload as the source's is, and wait for the index of vectors."""
        if self.switched():
            return []
        self._require_ledger()
        removed = self.remove_gone(self.source)
        notes = [f"removed {counted(removed, 'point')} gone from the source"] if removed else []
        missing = self._index_payload()
        notes += [f"built an index of the payload's {field}" for field in missing]
        end = time.monotonic() + SECONDS_TO_INDEX
        while self.ask("get_collection", self.collection.name).status.value == "yellow":
            if time.monotonic() > end:
                notes.append("Qdrant still builds its index; searches are slower until it is done")
                break
            time.sleep(SECONDS_BETWEEN)
        return notes

    def switched(self) -> bool:
        """Whether the source's alias stands for this collection."""
        return qdrant_switch.stands_for(self) == self.collection.name

    def switch(self, convert: Convert) -> list[str]:
        """Let the source's alias stand for this collection; see `qdrant_switch`."""
        return qdrant_switch.switch(self, convert)

    def rollback(self, *, force: bool = False) -> list[str]:
        """Let the alias stand for the old collection again; see `qdrant_switch`."""
        return qdrant_switch.rollback(self, force=force)

    def note(self, mark: MigrationRecord, step: str = "") -> None:
        """Note a mark, and which step is underway: before the mark, or after it that there is none."""
        if step:
            self.ledger.note(STEP, step)
        self.ask("update_collection", self.collection.name, metadata={NOTE: mark.to_text()})
        if not step:
            self.ledger.note(STEP, "")

    def step(self) -> str:
        """Return which step was underway when it was noted last."""
        if not self.exists() or not self.ledger.exists():
            return ""
        return str(self.ledger.metadata().get(STEP) or "")

    def drop(self) -> None:
        """Remove the collection, and its ledger."""
        if self.switched():
            raise InputError(f"{self.source.name} stands for these vectors; roll back first")
        if self.exists():
            require_ours(self.mark(), self.made, self.name)
            self.ask("delete_collection", self.collection.name)
        self.ledger.drop()


def target_address(source: QdrantStore, text: str, mark: MigrationRecord) -> Address:
    """Return the address of a collection beside a source.

    Raises
    ------
    InputError
        For another kind of store, another server or folder, an alias, and the source itself.
    """
    address = source.address.beside(text)
    address.only(*OPTIONS)
    name, own = collection_name(address), source.collection
    if server_of(address) != server_of(source.address):
        raise InputError(
            f"got target {address.shown}, expected another collection in the same place as "
            f"{source.address.shown}"
        )
    if address.options.get("vector", own.vector) != own.vector:
        raise InputError(f"{address.shown}: got another vector than the source's, {own.vector!r}")
    with one_line(source.secrets, source.address.shown):
        aliases = aliases_of(source.client)
    if name in aliases:
        raise InputError(f"{address.shown} is an alias; name a collection as the target")
    if name == own.name and (own.alias is None or not _is_switched(source, mark)):
        raise InputError(f"{source.name} is the source itself; name another collection")
    return replace(address, options={**source.address.options, **address.options})


def _is_switched(source: QdrantStore, mark: MigrationRecord) -> bool:
    """Whether an alias stands for what this very migration made, and what was before is noted."""
    found = source.mark()
    return found is not None and found.after_switch_of(mark)
