"""Vectors in a column of a PostgreSQL table, by pgvector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.untrusted import printable
from intertwine.stores.pgvector.binary_copy import received
from intertwine.stores.pgvector.column import Column, asked_kind, find_column
from intertwine.stores.pgvector.wire import ARRAYS, EXTRA, connect, one_line, to_array, to_sent
from intertwine.stores.store import Batch, MigrationRecord, check_metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address

OPTIONS = ("table", "column", "id", "metric", "type")
# Unless the address says otherwise.
SECONDS_TO_CONNECT = 15
OPERATORS = {"cosine": "<=>", "ip": "<#>", "l2": "<->"}


def open_store(address: Address) -> PgvectorStore:
    """Open a column by the address of its database, with `table=…` and `column=…` among its options.

    The form is
    `pgvector://USER:PASSWORD@HOST:PORT/DATABASE?table=…&column=…[&id=…][&metric=…][&type=…]`. `id`
    names the columns that tell rows apart, with commas between, where the primary key shall not;
    `type` is for a target: `vector`, `halfvec`, `real[]` or `double precision[]`. Other options go
    to libpq, for example `sslmode=require`, or `host=FOLDER` of a local socket. The password may
    come from `PGPASSWORD` or `~/.pgpass` instead; no error shows it.
    """
    _require_known(address)
    connection = connect(_uri(address), address.secrets, address.shown)
    try:
        with one_line(address.secrets, address.shown):
            column = find_column(
                connection,
                address.take("table"),
                address.take("column"),
                address.options.get("id"),
                _shown(address, address.take("column")),
            )
        _require_type(address, column)
        return PgvectorStore(address, connection, column)
    except BaseException:
        connection.close()
        raise


def _uri(address: Address) -> str:
    """Return the address as libpq reads it."""
    rest = {name: value for name, value in address.options.items() if name not in OPTIONS}
    rest = {"connect_timeout": str(SECONDS_TO_CONNECT), "client_encoding": "utf8", **rest}
    return f"postgresql:{address.place}?{urlencode(rest, quote_via=quote)}"


def _require_known(address: Address) -> None:
    """Raise for an option that libpq does not know, which may be the rest of a password."""
    known = [each.keyword for each in import_extra("psycopg.pq", EXTRA).Conninfo.get_defaults()]
    names = {*OPTIONS, *(name.decode() for name in known)}
    unknown = [name for name in address.options if name not in names]
    if unknown:
        shown = "of no known name" if address.secrets else repr(unknown[0])
        raise InputError(
            f"{address.shown}: got an option, {shown}, expected {', '.join(OPTIONS)}, or one of libpq's "
            "such as host, sslmode"
        )


def _require_type(address: Address, column: Column) -> None:
    """Raise where a source is asked for as another type than it has; `type=…` is for a target."""
    asked = asked_kind(address.options.get("type"), column.extension, address.shown)
    if asked and asked != column.kind:
        raise InputError(
            f"{_shown(address, column.name)}: got type {asked}, but it holds {column.kind}; write "
            "type=… in the target's address"
        )


def _shown(address: Address, column: str) -> str:
    return printable(f"{address.shown}?table={address.take('table')}&column={column}")


def _piece(value: Any) -> Any:
    """Return a piece of SQL, or a name to be quoted, with every % of what it spells written twice."""
    sql = import_extra("psycopg.sql", EXTRA)
    if isinstance(value, sql.Composed):
        return sql.Composed([_piece(part) for part in value])
    if isinstance(value, sql.SQL | sql.Placeholder):
        return value
    if not isinstance(value, sql.Composable):
        value = sql.Identifier(*([value] if isinstance(value, str) else value))
    return sql.SQL(value.as_string().replace("%", "%%"))


class PgvectorStore:
    """A column of vectors; items are told apart by the primary key, or other unique columns.

    The connection is closed with the store.
    """

    def __init__(self, address: Address, connection: Any, column: Column) -> None:
        self.address, self.connection, self.column = address, connection, column
        self.name, self.dim = _shown(address, column.name), column.dim
        asked = check_metric(address.options.get("metric"), self.name)
        if asked and column.metric and asked != column.metric:
            raise InputError(
                f"{self.name}: got metric {asked}, but its index goes by {column.metric}"
            )
        self.metric = asked or column.metric

    @property
    def uri(self) -> str:
        """Where the database is, as libpq reads it; with the password."""
        return _uri(self.address)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def query(self, text: str, /, *values: Any, **names: Any) -> list[Any]:
        """Run a statement and return its rows, in binary.

        The text has `{t}`, `{c}`, `{id}` for the table, the column and the id; `values` are of its
        `%s`, `names` pieces of SQL, or names to be quoted.
        """
        with one_line(self.address.secrets):
            cursor = self.connection.execute(self.sql(text, **names), values, binary=True)
            return list(cursor.fetchall()) if cursor.description else []

    def sql(self, text: str, /, **names: Any) -> Any:
        """Return a statement with its names filled in, quoted, and those of its key's `pieces`.

        It is run with values, if only `()`: a % in a name or text is written twice.
        """
        sql = import_extra("psycopg.sql", EXTRA)
        column = self.column
        table = sql.Identifier(*column.table)
        known = {"t": table, "c": column.name, **column.key.pieces(table), **names}
        return sql.SQL(text).format(**{key: _piece(value) for key, value in known.items()})

    def count(self) -> int:
        """Return the number of rows whose vector is not NULL."""
        return int(self.query("SELECT count({c}) FROM {t}")[0][0])

    def batches(self, size: int, after: Any = None) -> Iterator[Batch]:
        """Yield items in the order of their ids, without those that have no vector."""
        return by_id(self, "{c} IS NOT NULL", size, after)

    def batch(self, rows: list[tuple[Any, ...]]) -> Batch:
        """Return rows of an id's values and a vector as a batch."""
        ids = [self.column.key.item(row) for row in rows]
        return Batch(ids, to_array([row[-1] for row in rows], self.column.kind, self.dim, ids))

    def sample(self, size: int) -> Batch:
        """Return the items whose ids have the smallest hashes."""
        rows = self.query(
            "SELECT {ids}, {c} FROM {t} WHERE {c} IS NOT NULL "
            "ORDER BY hashtextextended({id_text}, 0), {order} LIMIT %s",
            size,
        )
        return self.batch(rows)

    def read(self, ids: Sequence[Any]) -> Array:
        """Return the vectors of items, a row of NaN where there is none."""
        found = self.query(
            "SELECT b.i, {t}.{c} FROM unnest({sent_arrays}) WITH ORDINALITY AS b({sent_names}, i) "
            "JOIN {t} ON {same} WHERE {t}.{c} IS NOT NULL ORDER BY b.i",
            *self.column.key.by_column(ids),
        )
        wide = self.column.kind == "double precision[]"
        vectors = np.full((len(ids), self.dim), np.nan, np.float64 if wide else np.float32)
        if found:
            places = [row[0] - 1 for row in found]
            vectors[places] = to_array(
                [row[1] for row in found], self.column.kind, self.dim, [ids[i] for i in places]
            )
        return vectors

    def ids_from(self, texts: Sequence[str]) -> list[Any]:
        """Return the ids that texts spell; those of several columns have commas between."""
        key = self.column.key
        rows = self.query(
            "SELECT {read} FROM unnest({text_arrays}) WITH ORDINALITY AS b({sent_names}, i) "
            "LEFT JOIN {t} ON {spelt} ORDER BY b.i",
            *(list(part) for part in zip(*map(key.spelt, texts), strict=True)),
        )
        return [key.item(row) for row in rows]

    def search(self, queries: Array, k: int) -> list[list[Any]]:
        """Return the nearest items of each query, by the column's index where it has one."""
        sql, key = import_extra("psycopg.sql", EXTRA), self.column.key
        place = sql.Identifier(self.column.extension.schema)
        operator = sql.SQL(OPERATORS[self.metric or "cosine"])
        # Arrays have no distances: they are compared as what pgvector makes of them.
        kind = "vector" if self.column.kind in ARRAYS else self.column.kind
        found = []
        for query in to_sent(queries, kind):
            rows = self.query(
                "SELECT {ids} FROM {t} WHERE {c} IS NOT NULL "
                "ORDER BY {c}{cast} OPERATOR({s}.{op}) %s::{kind} LIMIT %s",
                query,
                k,
                s=place,
                op=operator,
                kind=sql.SQL("{}.{}").format(place, sql.Identifier(kind)),
                cast=sql.SQL("::{}.vector" if kind != self.column.kind else "").format(place),
            )
            found.append([key.item(row) for row in rows])
        return found

    def mark(self) -> MigrationRecord | None:
        """Return the record in the column's comment."""
        return self.column_mark(self.column.name)

    def column_mark(self, column: str) -> MigrationRecord | None:
        """Return the record in the comment of a column; None where there is no such column."""
        rows = self.query(
            "SELECT col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attname = %s AND NOT attisdropped",
            self.column.qualified,
            column,
        )
        # A person's words about the column are above the record.
        return MigrationRecord.from_text((rows[0][0] or "").rpartition("\n")[2]) if rows else None


# How many batches, or blocks of 8 KiB, a statement reads: few enough that it soon lets rows that are
# gone be cleared away.
STATEMENT_BATCHES = 10
STATEMENT_BLOCKS = 16_384


def by_id(
    store: PgvectorStore, condition: str, size: int, after: Any = None, **names: Any
) -> Iterator[Batch]:
    """Yield rows in the order of their ids, beginning behind one, `size` a batch.

    Rows without a vector must not meet the condition; `names` are of it, as `PgvectorStore.sql`
    takes them.
    """
    most = STATEMENT_BATCHES * size
    found = most
    while found == most:
        found = 0
        behind = "" if after is None else "AND {behind}"
        values = [most] if after is None else [*store.column.key.values(after), most]
        which = f"{condition} {behind} ORDER BY {{order}} LIMIT %s"
        for batch in _copied(store, which, size, values, names):
            found += len(batch.ids)
            after = batch.ids[-1]
            yield batch


def by_block(store: PgvectorStore, condition: str, size: int, **names: Any) -> Iterator[Batch]:
    """Yield rows in the order of their blocks, in two thirds of the time that `by_id` takes.

    Rows that others move behind the last block meanwhile are left out; look again. The parameters
    are those of `by_id`, which is used where a table has no blocks of its own.
    """
    blocks = _blocks(store)
    if blocks is None:
        yield from by_id(store, condition, size, **names)
        return
    for start in range(0, blocks, STATEMENT_BLOCKS):
        ends = [f"({start},0)", f"({min(blocks, start + STATEMENT_BLOCKS)},0)"]
        which = f"ctid >= %s::tid AND ctid < %s::tid AND {condition}"
        yield from _copied(store, which, size, ends, names)


def _blocks(store: PgvectorStore) -> int | None:
    """Return how many blocks rows lie in; None where a range of blocks is not read by itself.

    Rows of a table with parts lie in blocks of the parts; before version 14 each range of blocks
    takes a look at all.
    """
    found = store.query(
        "SELECT pg_relation_size(oid) / current_setting('block_size')::int FROM pg_class "
        "WHERE oid = %s::regclass AND relkind = 'r' AND NOT relhassubclass "
        "AND current_setting('server_version_num')::int >= 140000",
        store.column.qualified,
    )
    return int(found[0][0]) if found else None


def _copied(
    store: PgvectorStore, which: str, size: int, values: list[Any], names: dict[str, Any]
) -> Iterator[Batch]:
    """Yield rows as COPY sends them: in half the time that rows of a query take."""
    text = store.sql(
        f"COPY (SELECT {{ids}}, {{c}} FROM {{t}} WHERE {which}) TO STDOUT (FORMAT BINARY)",  # noqa: S608 - ours
        **names,
    )
    with (
        one_line(store.address.secrets),
        store.connection.cursor() as cursor,
        cursor.copy(text, values) as copy,
    ):
        for ids, vectors in received(copy, store.column, size):
            yield Batch(ids, vectors)
