"""A new table beside a LanceDB table: what a migration checks, fills, indexes and switches to."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.storage.locks import one_run
from intertwine.stores.lancedb import switch as lancedb_switch
from intertwine.stores.lancedb.arrow import (
    EMBEDDING,
    blob_columns,
    one_line,
)
from intertwine.stores.lancedb.folder import PAGE
from intertwine.stores.lancedb.indexes import build, require_buildable
from intertwine.stores.lancedb.new_table import NewTable
from intertwine.stores.origins import ORIGIN
from intertwine.stores.store import Batch, common_metric, require_ours, require_removable
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intertwine.stores.address import Address
    from intertwine.stores.lancedb.store import LanceStore
    from intertwine.stores.store import Convert, MigrationRecord


def target_of(source: LanceStore, text: str, record: MigrationRecord) -> LanceTarget:
    """Return the table that an address names, beside a source whose ids are all different."""
    address = target_address(source, text)
    source.require_distinct()
    return LanceTarget(source, address, record)


class LanceTarget(NewTable):
    """A table that a migration makes in the source's folder.

    A switch writes its rows, without their notes, as the next version of the source's table, in one
    commit: readers that opened it before go on with the old version. The rows are then in the
    folder twice. A tag, `intertwine-VERSION`, keeps the old version: LanceDB's `optimize` stops
    with an error that names the tag, a week later, rather than throw the old vectors away. Delete
    the tag when they are no longer needed.
    """

    reads_beside_writes = False
    writers = 1

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the table for one run: in its folder, or on this machine for a bucket."""
        folder = Path(self.address.place)
        if "://" in self.address.place:
            place = self.address.place.rstrip("/")
            folder = Path(gettempdir(), f"intertwine-{sha256(place.encode()).hexdigest()[:16]}")
        with one_run(folder / f"{self.source.address.part}.migration"):
            yield

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise for what cannot be carried over, before anything is written.

        That is an index that cannot be built again, columns of blobs, and a table of that name with
        other columns.
        """
        del force  # None of it is possible.
        source, schema = self.source, self.source.table.schema
        blobs = blob_columns(schema)
        if blobs:
            raise InputError(
                f"{source.name}: column {blobs[0]!r} holds blobs, which LanceDB does not read with "
                "the other columns, so that they cannot be carried over; move them to another table"
            )
        if ORIGIN in schema.names:
            raise InputError(
                f"{source.name}: has a column {ORIGIN!r}, which a migration needs for itself; "
                "rename it"
            )
        if not self.switched():
            field = self.columns.schema.field(self.columns.vector)
            require_buildable(source.table, field.name, field, self.metric, source.name)
            if self.exists():
                require_ours(self.mark(), self.record, self.name)
                self._require_columns(self.table.schema, self.name)
        return []

    def missing(self) -> int:
        """Return how many rows of the source's table have no vector."""
        with one_line():
            return int(self.source.table.count_rows()) - self.source.count()

    def pending(self, size: int) -> Iterator[Batch]:
        """Yield rows that are not here, or changed since, those without a vector too.

        After a switch that was killed, what was written to the source while it ran is left to do.
        """
        yield from lancedb_switch.carry_unfinished(self, size)
        if not self.switched():
            yield from self.stale(self.source.pinned(), size)

    def finish(self) -> list[str]:
        """Remove what is gone from the source, and build the indexes that it has."""
        if self.switched():
            return []
        lost = [item for ids in list(self.gone(self.source.pinned())) for item in ids]
        for first in range(0, len(lost), PAGE):
            self.remove(lost[first : first + PAGE])
        notes = [f"removed {counted(len(lost), 'row')} gone from the source"] if lost else []
        notes += build(self.table, self.source.table, self.columns.vector, self.metric, self.dim)
        self._tidy()
        if EMBEDDING in (self.source.columns.schema.metadata or {}):
            notes.append(
                "left out which model LanceDB embeds texts with, as it is the source's; queries have "
                "to be embedded before"
            )
        return notes

    def switch(self, convert: Convert) -> list[str]:
        """Write these rows as the next version of the source's table; see `switch`."""
        return lancedb_switch.switch(self, convert)

    def rollback(self, *, force: bool = False) -> list[str]:
        """Write the old vectors as the next version of the source's table; see `switch`."""
        del force  # Everything can be carried along.
        return lancedb_switch.rollback(self)

    def drop(self) -> None:
        """Remove the table."""
        if require_removable(self, self.source, self.record):
            with one_line():
                self.database.drop_table(self.address.part)
        self._table = None


def target_address(source: LanceStore, text: str) -> Address:
    """Return the address of a table beside a source, with the same columns and metric."""
    address = source.address.beside(text)
    address.only("vector", "id", "metric")
    if address.place.rstrip("/") != source.address.place.rstrip("/") or not address.part:
        raise InputError(
            f"got target {address.shown}, expected another table in the source's own folder: "
            f"{source.address.scheme}:{source.address.place}#TABLE"
        )
    if address.part == source.address.part:
        raise InputError(f"{source.name} is the source itself; name another table")
    for name, own in (("vector", source.columns.vector), ("id", source.columns.id)):
        if address.options.get(name, own) != own:
            raise InputError(f"{address.shown}: got {name}={address.options[name]}, expected {own}")
    metric = common_metric(address.options.get("metric"), source.metric, address.shown)
    options = {**source.address.options, **({"metric": metric} if metric else {})}
    return replace(address, options=options)
