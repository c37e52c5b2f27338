"""What a migration checks, fills, indexes and switches to: a new column beside a column of vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.storage.untrusted import printable
from intertwine.stores.pgvector.catalog import LONGEST_NAME
from intertwine.stores.pgvector.like import set_not_null
from intertwine.stores.pgvector.locks import one_migration
from intertwine.stores.pgvector.new_column import NewColumn
from intertwine.stores.pgvector.ready import Readiness
from intertwine.stores.pgvector.switch import roll_back, switch_over
from intertwine.stores.pgvector.wire import connect
from intertwine.stores.store import common_metric, require_removable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from intertwine.stores.pgvector.indexes import IndexBuilder
    from intertwine.stores.pgvector.store import PgvectorStore
    from intertwine.stores.store import Convert, MigrationRecord

WRITERS = 2


def target_of(source: PgvectorStore, text: str, record: MigrationRecord) -> PgvectorTarget:
    """Return the column that an address names, in the table of a source."""
    address = source.address.beside(text)
    name = address.take("column")
    same = address.place == source.address.place and (
        address.options.get("table", source.address.options["table"])
        == source.address.options["table"]
    )
    if not same:
        raise InputError(
            f"got target {address.shown}, expected another column of the source's own table: "
            f"{source.address.shown}?table={printable(source.address.options['table'])}&column=NAME"
        )
    if name == source.column.name:
        raise InputError(f"{source.name} is the source itself; name another column")
    if len(name.encode()) > LONGEST_NAME:
        raise InputError(f"got column {name!r}, expected at most {LONGEST_NAME} bytes")
    metric = common_metric(address.options.get("metric"), source.metric, address.shown)
    options = {**source.address.options, "column": name, **({"metric": metric} if metric else {})}
    options.pop("type", None)
    options |= {"type": address.options["type"]} if "type" in address.options else {}
    connection = connect(source.uri, source.address.secrets)
    try:
        return PgvectorTarget(source, replace(address, options=options), connection, record)
    except BaseException:
        connection.close()
        raise


class PgvectorTarget(NewColumn):
    """A column that a migration makes in the source's table.

    After the switch the columns' names are exchanged: the new vectors have the source's name, the
    old ones `NAME_before`. Threads that write have connections of their own.
    """

    # Each has a connection of its own. The server's part of a batch is work for one core.
    reads_beside_writes = True
    writers = WRITERS

    def lock(self) -> AbstractContextManager[None]:
        """Hold both columns for one run, by locks of the server's; not where rows are hidden."""
        Readiness(self.source).require_table()
        return one_migration(self, {self.source.column.name, self.address.take("column")})

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise for what hides rows, is bound to the old column, or fires for each row."""
        ready = Readiness(self.source)
        ready.require_table()
        self.forced = force
        warnings = ready.harm(self.index_builder())
        if warnings and not force:
            raise InputError(f"{self.source.name}: {warnings[0]}, or pass --force to go on anyway")
        published = ready.published((self.address.take("column"), self.stamp))
        return [*(f"by --force: {warning}" for warning in warnings), *published]

    def missing(self) -> int:
        """Return how many rows have no vector in the column of the source's name."""
        return int(self.source.query("SELECT count(*) FROM {t} WHERE {c} IS NULL")[0][0])

    def finish(self) -> list[str]:
        """Build the indexes that the old column has, beside readers and writers."""
        if self.gone:
            return []
        builder = self.index_builder()
        if self.switched():
            builder.clear()
            set_not_null(self, self.column.name)
            return []
        return builder.build() or self._without_indexes(builder)

    @staticmethod
    def _without_indexes(builder: IndexBuilder) -> list[str]:
        none = not builder.sources
        return ["the source has no index of pgvector's; built none"] if none else []

    def switch(self, convert: Convert) -> list[str]:
        """Convert what is pending and exchange the columns' names, in one transaction."""
        return [] if self.switched() else switch_over(self, convert)

    def rollback(self, *, force: bool = False) -> list[str]:
        """Exchange the columns' names again; return notes of rows without an old vector."""
        del force
        kept = self.kept()
        if kept is None:
            raise InputError(f"{self.source.name} is not switched over; nothing to roll back")
        return roll_back(self, kept)

    def drop(self) -> None:
        """Remove the column, and that of its stamps."""
        require_removable(self, self.source, self.record)
        for name in [self.column.name, *([self.stamp] if self.stamped() else [])]:
            self.query("ALTER TABLE {t} DROP COLUMN IF EXISTS {name}", name=name)
        self._pieces = {}
