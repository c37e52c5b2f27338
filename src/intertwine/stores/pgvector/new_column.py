"""The column that a migration makes beside a column of vectors: filled row by row, with its stamps."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.untrusted import printable
from intertwine.stores.pgvector.binary_copy import send
from intertwine.stores.pgvector.column import asked_kind, find_column, kind_of, require_dimension
from intertwine.stores.pgvector.indexes import Carrying, IndexBuilder, indexes_of
from intertwine.stores.pgvector.like import make_alike
from intertwine.stores.pgvector.locks import patiently
from intertwine.stores.pgvector.ready import Readiness
from intertwine.stores.pgvector.stamps import SIGNATURE, conditions, stamp_name, stamp_note, stamps
from intertwine.stores.pgvector.store import PgvectorStore, by_block
from intertwine.stores.pgvector.wire import EXTRA, connect, one_line, to_sent
from intertwine.stores.store import HALF, SINGLE
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.pgvector.column import Column
    from intertwine.stores.store import Batch, MigrationRecord

# Until the end of a transaction, so that nothing is left behind on a pooler's connection.
SETTINGS = (
    # Rows of a batch are looked up by their ids: the other ways read the whole table for each.
    "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
)
# A batch that a crash of the server loses is pending again; the switch waits for the disk.
UNHURRIED = "SET LOCAL synchronous_commit = off"
# Ends the name of an old column while its name stands for the new one.
BEFORE = "_before"
# Rows that a note or an error names.
NAMED = 5


@dataclass(frozen=True)
class Kept:
    """The old column, while its name stands for the new one: what a rollback needs.

    `column` is what the new column was called, and is again after a rollback; `before` what the
    switch called the old one, `number` which column of the table that is, as it may be renamed
    (None where an earlier version switched). `indexes` are the names that the new column's indexes
    took over, with what the old ones have been called since; `stamped` is whether a column of
    stamps was beside.
    """

    column: str
    before: str
    number: int | None = None
    not_null: bool = False
    indexes: dict[str, str] = field(default_factory=dict)
    stamped: bool = False

    def to_text(self) -> str:
        """Return it as the text that a record keeps."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str | None, source: str) -> Kept | None:
        """Return what a record keeps of the switch of a source's name; None where it keeps nothing."""
        if text is None:
            return None
        try:
            value = json.loads(text)
            return cls(
                str(value["column"]),
                str(value["before"]),
                None if value["number"] is None else int(value["number"]),
                bool(value["not_null"]),
                {str(name): str(old) for name, old in value["indexes"].items()},
                # Whoever noted a number wrote stamps.
                bool(value.get("stamped", value["number"] is not None)),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            # Earlier versions kept the new column's name alone.
            return cls(text, source + BEFORE)


def _kind(source: PgvectorStore, connection: Any, name: str, address: Address) -> str:
    """Return the type of a target: what it has, which must be what is asked for, or the source's."""
    asked = asked_kind(address.options.get("type"), source.column.extension, address.shown)
    with one_line(source.address.secrets):
        found = kind_of(connection, source.column, name)
    if asked and found and asked != found:
        raise InputError(
            f"{address.shown}: column {name!r} is there already and of type {found}, not {asked}; leave "
            "type= out, or name another column"
        )
    return found or asked or source.column.kind


class NewColumn(PgvectorStore):
    """A column of new vectors in the source's table, with stamps of what they were made from beside it.

    What somebody else put into it is kept.
    """

    def __init__(
        self, source: PgvectorStore, address: Address, connection: Any, record: MigrationRecord
    ) -> None:
        name = address.take("column")
        require_dimension(record.target.dim, address.shown)
        kind = _kind(source, connection, name, address)
        column = replace(source.column, name=name, kind=kind, dim=record.target.dim, metric=None)
        self.source, self.record = source, record
        super().__init__(address, connection, column)
        self._free: LifoQueue[Any] = LifoQueue()
        self._writing: list[Any] = []
        self._adding = threading.Lock()
        self._pieces: dict[str, Any] = {}
        self.metric = self.metric or source.metric
        self.forced = False
        self._fires: bool | None = None
        self.old, self.gone = source.column, False
        self.old_number = self.numbers()[self.old.name]
        kept = self.kept()
        if kept is not None:
            self.column = replace(self.column, kind=source.column.kind)
            # Where the old vectors were dropped, nothing is pending any more, and nothing goes back.
            old = self._before(kept)
            self.stand(source.column.name, old or source.column)
            self.gone = old is None
        self.tolerance = HALF if self.column.kind == "halfvec" else SINGLE

    def stand(self, name: str, old: Column) -> None:
        """Use another name from now on, with the old vectors in another column."""
        self.column, self.old = replace(self.column, name=name), old
        self._pieces = {}

    def kept(self) -> Kept | None:
        """Return what the switch to this target noted; None when the source's name is not ours."""
        found = self.column_mark(self.source.column.name)
        kept = found and Kept.from_text(found.kept, self.source.column.name)
        return kept if kept and kept.column == self.address.take("column") else None

    def find_before(self, kept: Kept) -> Column:
        """Return the column of the old vectors after a switch, whatever it is called now."""
        found = self._before(kept)
        if found is None:
            raise InputError(
                f"{self.source.name}: stands for new vectors, and column {printable(kept.before)}, which "
                "kept the old ones, is gone"
            )
        return found

    def _before(self, kept: Kept) -> Column | None:
        rows = self.query(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s AND attnum > 0 "
            "AND NOT attisdropped AND (attnum = %s OR attname = %s) ORDER BY attnum = %s DESC",
            self.column.oid,
            kept.number,
            kept.before,
            kept.number,
        )
        for (name,) in rows:
            key = self.address.options.get("id")
            # A table that was restored from a dump numbers its columns otherwise.
            with suppress(InputError):
                found = find_column(self.connection, self.column.qualified, name, key, name)
                if found.dim == self.record.source.dim:
                    return found
        return None

    @property
    def fires(self) -> bool:
        """Whether an update of a row sets something off."""
        if self._fires is None:
            # Not on the connection that the source is read by.
            self._fires = bool(Readiness(self).fired())
        return self._fires

    def require_fits(self, batch: Batch, vectors: Array) -> None:
        """Raise where numbers do not fit the column's type."""
        del batch
        to_sent(vectors, self.column.kind)

    def written_here(self, ids: Sequence[Any]) -> Array:
        """Return whether a migration wrote each item's vector, and nobody has replaced it."""
        ours = np.zeros(len(ids), bool)
        if self.stamped():
            rows = self.query(
                "SELECT b.i FROM unnest({sent_arrays}) WITH ORDINALITY AS b({sent_names}, i) "
                "JOIN {t} ON {same} WHERE {ours}",
                *self.column.key.by_column(ids),
                **self.pieces(),
            )
            ours[[row[0] - 1 for row in rows]] = True
        return ours

    def exists(self) -> bool:
        """Whether the table has such a column, or the column has the source's name since a switch."""
        return self.column.name in self.numbers()

    def numbers(self) -> dict[str, int]:
        """Return the numbers of the table's columns by name."""
        return dict(
            self.query(
                "SELECT attname, attnum::int4 FROM pg_attribute "
                "WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped",
                self.column.oid,
            )
        )

    def create(self) -> None:
        """Add the column, empty, with its record as a comment, and one of stamps beside it."""
        patiently(self, self._create)

    def _create(self) -> None:
        sql = import_extra("psycopg.sql", EXTRA)
        self.query("ALTER TABLE {t} ADD COLUMN {c} {kind}", kind=self.column.declared)
        note = sql.Literal(self.record.to_text())
        self.query("COMMENT ON COLUMN {t}.{c} IS {note}", note=note)
        make_alike(self, self.old, self.column)
        if not self.stamped():
            self._add_stamps()

    @property
    def stamp(self) -> str:
        """The name of the column of stamps."""
        return stamp_name(self.address.take("column"))

    def stamped(self) -> bool:
        """Whether there is a column of stamps; another column of its name raises an error."""
        if "first" in self._pieces:
            return True
        rows = self.query(
            "SELECT col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = %s AND attname = %s AND NOT attisdropped",
            self.column.oid,
            self.stamp,
        )
        if rows and not (rows[0][0] or "").startswith(SIGNATURE):
            raise InputError(
                f"{self.name}: the table has a column {self.stamp}, which the migration needs for what "
                "it notes; rename that one, or name another target"
            )
        return bool(rows)

    def _add_stamps(self) -> None:
        sql = import_extra("psycopg.sql", EXTRA)
        self.query("ALTER TABLE {t} ADD COLUMN {stamp} bytea", stamp=self.stamp)
        note = sql.Literal(stamp_note(self.address.take("column")))
        self.query("COMMENT ON COLUMN {t}.{stamp} IS {note}", stamp=self.stamp, note=note)

    def pieces(self) -> dict[str, Any]:
        """Return the three columns, and conditions on them, by the names that statements use."""
        if "first" not in self._pieces:
            sql = import_extra("psycopg.sql", EXTRA)
            names = {"old": self.old.name, "new": self.column.name, "stamp": self.stamp}
            table = self.column.table
            places = {key: sql.Identifier(*table, name) for key, name in names.items()}
            self._pieces = {**places, **{f"{key}_name": name for key, name in names.items()}}
            if self.stamped():
                sends = [self._sender(self.old.name), self._sender(self.column.name)]
                self._pieces |= conditions(list(places.values()), sends)
        return self._pieces

    def _sender(self, column: str) -> str:
        """Return the function that writes vectors of a column in binary, as SQL."""
        rows = self.query(
            "SELECT typsend::regproc::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
            "WHERE a.attrelid = %s AND a.attname = %s",
            self.column.oid,
            column,
        )
        return str(rows[0][0])

    def pending_condition(self) -> str:
        """Return which rows have an old vector and no new one, or one of an older old vector.

        After a switch a row whose vector has been removed is not converted again.
        """
        lacks = "{old} IS NOT NULL AND {new} IS NULL"
        if not self.stamped():
            return lacks
        if self.switched():
            return lacks + " AND {stamp} IS NULL"
        return "{old} IS NOT NULL AND ({new} IS NULL OR ({changed} AND {known}))"

    def old_store(self, connection: Any) -> PgvectorStore:
        """Return the old vectors, read by some connection."""
        return PgvectorStore(self.source.address, connection, self.old)

    def pending(self, size: int) -> Iterator[Batch]:
        """Yield what is to be converted, in the order that costs least."""
        if self.gone:
            return iter(())
        kept = self.kept()
        if kept is not None and kept.stamped and not self.stamped():
            self._require_told()
            return iter(())
        old = self.old_store(self.source.connection)
        return by_block(old, self.pending_condition(), size, **self.pieces())

    def _require_told(self) -> None:
        """Raise where rows lack a new vector and the column of stamps, which says why, is gone."""
        count, ids = self.count_where("{old} IS NOT NULL AND {new} IS NULL", **self.pieces())
        if count:
            old = printable(self.old.name)
            raise InputError(
                f"{self.source.name}: {count} rows have an old vector and no new one ({ids}), and column "
                f"{printable(self.stamp)}, which says whether theirs was removed on purpose, is gone; set "
                f"{old} to NULL too where it was, then roll back and switch again, which converts the others"
            )

    def count_where(self, condition: str, **names: Any) -> tuple[int, str]:
        """Return how many rows meet a condition, and some of their ids."""
        count = self.query(f"SELECT count(*) FROM {{t}} WHERE {condition}", **names)[0][0]  # noqa: S608 - ours
        if not count:
            return 0, ""
        rows = self.query(
            f"SELECT {{id_text}} FROM {{t}} WHERE {condition} ORDER BY {{order}} LIMIT %s",  # noqa: S608 - ours
            NAMED,
            **names,
        )
        rest = ", …" if count > NAMED else ""
        return int(count), "id " + ", ".join(printable(row[0]) for row in rows) + rest

    def write(self, batch: Batch, vectors: Array) -> int:
        """Fill the new column of some rows in one transaction, where nobody else has filled it."""
        with self._adding:
            if not self.stamped():
                patiently(self, self._add_stamps)
        with self._lent() as connection:

            def work() -> int:
                connection.execute(UNHURRIED)
                return self.write_on(connection, batch, vectors)

            return patiently(self, work, connection)

    def write_on(self, connection: Any, batch: Batch, vectors: Array) -> int:
        """Write vectors and stamps in a connection's transaction; return how many rows took one."""
        marks = stamps(batch.vectors, vectors, (self.old.kind, self.column.kind))
        connection.execute(SETTINGS)
        connection.execute(
            self.sql(
                "CREATE TEMPORARY TABLE intertwine_batch ({sent_columns}, v {v}, s bytea)",
                v=self.column.type,
            ),
            (),
        )
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY pg_temp.intertwine_batch FROM STDIN (FORMAT BINARY)") as copy,
        ):
            send(copy, self.column, batch.ids, vectors, marks)
        update = self.sql(
            "UPDATE {t} SET {new_name} = b.v, {stamp_name} = b.s FROM pg_temp.intertwine_batch b "
            "WHERE {same} AND b.v IS NOT NULL AND ({new} IS NULL OR ("
            "{stamp} IS NOT NULL AND {first} <> substr(b.s, 1, 8) AND {known}))",
            **self.pieces(),
        )
        wrote = int(connection.execute(update, ()).rowcount)
        if self.fires:
            self._require_as_sent(connection)
        connection.execute("DROP TABLE pg_temp.intertwine_batch")
        return wrote

    def _require_as_sent(self, connection: Any) -> None:
        """Raise where vectors differ from those that were sent."""
        text = (
            "SELECT count(*) FROM {t} JOIN pg_temp.intertwine_batch b ON {same} WHERE {stamp} = b.s"
        )
        found = connection.execute(
            self.sql(text + " AND substr(b.s, 9, 8) <> {now}", **self.pieces()), ()
        ).fetchone()
        if found[0]:
            raise InputError(
                f"{self.name}: {counted(found[0], 'vector is another', 'vectors are others')} in the table than sent: a trigger or "
                "a rule changes them; nothing of this batch was written"
            )

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        """Yield a connection to write on; there are as many as threads that write."""
        try:
            connection = self._free.get_nowait()
        except Empty:
            connection = connect(self.uri, self.address.secrets)
            self._writing.append(connection)
        try:
            yield connection
        finally:
            self._free.put(connection)

    def close(self) -> None:
        """Close all connections but the source's."""
        for connection in self._writing:
            connection.close()
        super().close()

    def index_builder(self) -> IndexBuilder:
        """Return what builds the old column's indexes on the new one."""
        names = [
            self.query("SELECT quote_ident(%s)", name)[0][0]
            for name in (self.old.name, self.column.name)
        ]
        dims, kinds = (self.old.dim, self.dim), (self.old.kind, self.column.kind)
        carrying = Carrying(names[0], names[1], dims, kinds)
        return IndexBuilder(self, carrying, indexes_of(self, self.old.name))

    def switched(self) -> bool:
        """Whether the source's name has our record, and what it keeps."""
        return self.kept() is not None
