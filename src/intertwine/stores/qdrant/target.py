"""What a migration checks, fills, indexes and switches to: a new Qdrant collection beside another."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.storage.locks import one_run
from intertwine.stores.qdrant import switch as qdrant_switch
from intertwine.stores.qdrant.collection import (
    OPTIONS,
    aliases_of,
    collection_name,
    hindrances,
    one_line,
    server_of,
)
from intertwine.stores.qdrant.new_collection import NewCollection
from intertwine.stores.store import Batch, require_ours, require_removable
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intertwine.stores.address import Address
    from intertwine.stores.qdrant.store import QdrantStore
    from intertwine.stores.store import Convert, MigrationRecord

# How long a server is waited for that builds its index.
SECONDS_TO_INDEX = 3600
SECONDS_BETWEEN = 1


def target_of(source: QdrantStore, text: str, record: MigrationRecord) -> QdrantTarget:
    """Return the collection that an address names, beside a source."""
    return QdrantTarget(source, target_address(source, text, record), record)


class QdrantTarget(NewCollection):
    """A collection that a migration makes beside the source, whose client serves it too.

    Other vectors of the source's points and their payload travel with them. Vectors of cosine
    collections are stored at length 1.
    """

    reads_beside_writes = False
    writers = 1

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

    def require_name(self) -> None:
        """Raise where the source was not addressed by an alias."""
        self.alias_of()

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise for settings in the way and, unless forced, other aliases of the source."""
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
            warning = (
                f"{own.name} has other aliases too ({', '.join(sorted(others))}), which a switch of "
                f"{own.alias} leaves on the old vectors"
            )
            if not force:
                raise InputError(
                    f"{self.source.name}: {warning}; remove them, or accept that with --force"
                )
            warnings.append(warning)
        if self.exists():
            require_ours(self.mark(), self.record, self.name)
            self._require_ledger()
        return warnings

    def _require_ledger(self) -> None:
        if not self.ledger.exists():
            raise InputError(
                f"{self.name}: its ledger, the collection {self.ledger.name!r}, is missing, which says "
                f"what points were made from; delete {self.collection.name!r} and migrate again"
            )

    def missing(self) -> int:
        """Return how many points have no vector."""
        return int(self.ask("count", self.collection.name, exact=True).count) - self.count()

    def pending(self, size: int) -> Iterator[Batch]:
        """Yield points that are not here, or changed since, with payload and all their vectors.

        After a switch that was killed, what was written to the source while it ran is left to do.
        """
        yield from qdrant_switch.carry_unfinished(self, size)
        if not self.switched():
            yield from self.stale(self.source, size)

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

    def switch(self, convert: Convert) -> list[str]:
        """Make the source's alias stand for this collection; see `switch`."""
        return qdrant_switch.switch(self, convert)

    def rollback(self, *, force: bool = False) -> list[str]:
        """Make the alias stand for the old collection again; see `switch`."""
        return qdrant_switch.rollback(self, force=force)

    def drop(self) -> None:
        """Remove the collection, and its ledger."""
        if require_removable(self, self.source, self.record):
            self.ask("delete_collection", self.collection.name)
        self.ledger.drop()


def target_address(source: QdrantStore, text: str, record: MigrationRecord) -> Address:
    """Return the address of a collection beside a source, which is no alias."""
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
    if name == own.name and (own.alias is None or not _is_switched(source, record)):
        raise InputError(f"{source.name} is the source itself; name another collection")
    return replace(address, options={**source.address.options, **address.options})


def _is_switched(source: QdrantStore, record: MigrationRecord) -> bool:
    """Whether an alias stands for what this very migration made, and what was before is noted."""
    found = source.mark()
    return found is not None and found.after_switch_of(record)
