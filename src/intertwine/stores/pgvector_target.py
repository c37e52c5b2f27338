"""A new column beside a column of vectors: filled, indexed, and given the old one's name when told."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.pgvector import PgvectorStore
from intertwine.stores.pgvector_copy import send
from intertwine.stores.pgvector_indexes import build_indexes
from intertwine.stores.pgvector_scan import any_row, by_block
from intertwine.stores.pgvector_wire import EXTRA, connect, one_line
from intertwine.stores.store import HALF, SINGLE, common_metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Batch, Convert, Mark

# PostgreSQL's longest name.
LONGEST_NAME = 63
# Between a column's name and what it is called while the name stands for other vectors.
KEPT = "_before"
WRITERS = 2
SETTINGS = (
    # Rows of a batch are looked up by their ids: the other ways read the whole table for each.
    "enable_hashjoin = off",
    "enable_mergejoin = off",
    # A batch that a crash of the server loses is pending again; the switch waits for the disk.
    "synchronous_commit = off",
)


def target_of(source: PgvectorStore, text: str, mark: Mark) -> PgvectorTarget:
    """Return the column that an address names, beside a source.

    Raises
    ------
    InputError
        For another kind of store, another database or table, and the source itself.
    """
    address = source.address.beside(text)
    name = address.take("column")
    same = address.place == source.address.place and (
        address.options.get("table", source.address.options["table"])
        == source.address.options["table"]
    )
    if not same:
        raise InputError(
            f"got target {address.shown}, expected another column of the source's own table: "
            f"{source.address.shown}?table={source.address.options['table']}&column=NAME"
        )
    if name == source.column.name:
        raise InputError(f"{source.name} is the source itself; name another column")
    if (
        len(name.encode()) > LONGEST_NAME
        or len((source.column.name + KEPT).encode()) > LONGEST_NAME
    ):
        raise InputError(f"got column {name!r}, expected at most {LONGEST_NAME} bytes")
    metric = common_metric(address.options.get("metric"), source.metric, address.shown)
    options = {**source.address.options, "column": name, **({"metric": metric} if metric else {})}
    connection = connect(source.uri, source.address.secrets)
    try:
        return PgvectorTarget(source, replace(address, options=options), connection, mark)
    except BaseException:
        connection.close()
        raise


class PgvectorTarget(PgvectorStore):
    """A column that a migration makes in the source's table.

    Whatever is in it was put there by somebody else first, so only NULLs are filled. After the switch
    the columns' names are exchanged: the new vectors bear the source's name, the old ones
    `NAME_before`.

    Parameters
    ----------
    source
        The column that vectors come from.
    address
        Of this one.
    connection
        A second one, while the source is read; threads that write have others, made as needed.
    made
        The mark that it bears.
    """

    # Each has a connection of its own. The server's part of a batch is work for one core.
    reads_beside_writes = True
    writers = WRITERS

    def __init__(
        self, source: PgvectorStore, address: Address, connection: Any, made: Mark
    ) -> None:
        column = replace(
            source.column, name=address.take("column"), dim=made.target.dim, indexes=()
        )
        self.source, self.made = source, made
        super().__init__(address, connection, column)
        self._free: LifoQueue[Any] = LifoQueue()
        self._writing: list[Any] = []
        self.metric = self.metric or source.metric
        self.tolerance = HALF if self.column.kind == "halfvec" else SINGLE
        self.kept = source.column.name + KEPT
        if self.switched():
            self.column = replace(self.column, name=source.column.name)

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
        """Return how many rows have no vector in the column of the source's name."""
        found = self._of_source("SELECT count(*) FROM {t} WHERE {c} IS NULL").fetchone()
        return int(found[0])

    def exists(self) -> bool:
        """Whether the table has such a column, or the switch has given it the source's name."""
        found = self.query(
            "SELECT 1 FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s "
            "AND NOT attisdropped",
            self.column.qualified,
            self.column.name,
        )
        return bool(found)

    def create(self) -> None:
        """Add the column, empty, with its mark as a comment."""
        sql = import_extra("psycopg.sql", EXTRA)
        with one_line(self.address.secrets), self.connection.transaction():
            self.query("ALTER TABLE {t} ADD COLUMN {c} {kind}", kind=self.column.declared)
            note = sql.Literal(self.made.to_text())
            self.query("COMMENT ON COLUMN {t}.{c} IS {note}", note=note)

    def pending(self, size: int) -> Iterator[Batch]:
        """Give rows that have an old vector and no new one, in the order that costs least."""
        condition, new = "{c} IS NOT NULL AND {new} IS NULL", self.column.name
        if self.switched() or not any_row(self.source, condition, new=new):
            return iter(())
        return by_block(self.source, condition, size, new=new)

    def write(self, batch: Batch, vectors: Array) -> int:
        """Fill the new column of some rows in one transaction, where it is NULL still."""
        table = self.sql(
            "CREATE TEMPORARY TABLE IF NOT EXISTS intertwine_batch ({sent_columns}, v {v}) "
            "ON COMMIT DELETE ROWS",
            v=self.column.type,
        )
        update = self.sql(
            "UPDATE {t} SET {c} = b.v FROM intertwine_batch b WHERE {same} AND {t}.{c} IS NULL"
        )
        with one_line(self.address.secrets), self._lent() as connection, connection.transaction():
            connection.execute(table, ())
            with (
                connection.cursor() as cursor,
                cursor.copy("COPY intertwine_batch FROM STDIN (FORMAT BINARY)") as copy,
            ):
                send(copy, self.column, batch.ids, vectors)
            return int(connection.execute(update, ()).rowcount)

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        """Lend a connection to write on; there are as many as threads that write."""
        try:
            connection = self._free.get_nowait()
        except Empty:
            connection = connect(self.uri, self.address.secrets)
            self._writing.append(connection)
            for setting in SETTINGS:
                connection.execute(f"SET {setting}")
        try:
            yield connection
        finally:
            self._free.put(connection)

    def close(self) -> None:
        """Close all connections but the source's."""
        for connection in self._writing:
            connection.close()
        super().close()

    def finish(self) -> list[str]:
        """Build the indexes that the source has, beside readers and writers."""
        return [] if self.switched() else build_indexes(self, self.source.column.indexes)

    def switched(self) -> bool:
        """Whether the source's name bears our mark, and what it says is kept."""
        found = self.column_mark(self.source.column.name)
        return found is not None and found.kept == self.address.take("column")

    def switch(self, convert: Convert) -> list[str]:
        """Exchange the columns' names in one transaction."""
        del convert
        if self.switched():
            return []
        self._rename({"{c}": "{kept}", "{new}": "{c}"})
        self.column = replace(self.column, name=self.source.column.name)
        return []

    def rollback(self, *, force: bool = False) -> list[str]:
        """Give the columns their old names again in one transaction."""
        del force
        if not self.switched():
            raise InputError(f"{self.source.name} is not switched over; nothing to roll back")
        self._rename({"{c}": "{new}", "{kept}": "{c}"})
        self.column = replace(self.column, name=self.address.take("column"))
        return []

    def _rename(self, names: dict[str, str]) -> None:
        """Rename columns of the source's table and note, at the new vectors, what is kept."""
        sql = import_extra("psycopg.sql", EXTRA)
        pieces: dict[str, Any] = {"new": self.address.take("column"), "kept": self.kept}
        forward = "{kept}" in names.values()
        with one_line(self.address.secrets), self.connection.transaction():
            for before, after in names.items():
                self._of_source(f"ALTER TABLE {{t}} RENAME COLUMN {before} TO {after}", **pieces)
            mark = self.made.switched(self.address.take("column") if forward else None)
            self._of_source(
                f"COMMENT ON COLUMN {{t}}.{'{c}' if forward else '{new}'} IS {{text}}",
                text=sql.Literal(mark.to_text()),
                **pieces,
            )

    def _of_source(self, text: str, /, **names: Any) -> Any:
        """Run a statement here in which the column is the source's."""
        return self.connection.execute(self.source.sql(text, **names), ())

    def drop(self) -> None:
        """Remove the column."""
        if self.switched():
            raise InputError(f"{self.source.name} stands for these vectors; roll back first")
        self.query("ALTER TABLE {t} DROP COLUMN IF EXISTS {c}")
