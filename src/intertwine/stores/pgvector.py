"""Vectors in a column of a PostgreSQL table, by pgvector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.pgvector_facts import Column, find_column
from intertwine.stores.pgvector_scan import by_id
from intertwine.stores.pgvector_wire import EXTRA, connect, one_line, to_array, to_sent
from intertwine.stores.store import Batch, Mark, check_metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.pgvector_target import PgvectorTarget

OPTIONS = ("table", "column", "id", "metric")
OPERATORS = {"cosine": "<=>", "ip": "<#>", "l2": "<->"}


def open_store(address: Address) -> PgvectorStore:
    """Open `pgvector://USER:PASSWORD@HOST:PORT/DATABASE?table=…&column=…[&id=…][&metric=…]`.

    Other options go to libpq, for example `sslmode=require`, or `host=FOLDER` of a local socket.
    The password may come from `PGPASSWORD` or `~/.pgpass` instead.

    Raises
    ------
    InputError
        Where the server, the table or the column cannot be used, in one line without the password.
    """
    connection = connect(_uri(address), address.secrets)
    try:
        with one_line(address.secrets):
            column = find_column(
                connection,
                address.take("table"),
                address.take("column"),
                address.options.get("id"),
                _shown(address, address.take("column")),
            )
        return PgvectorStore(address, connection, column)
    except BaseException:
        connection.close()
        raise


def _uri(address: Address) -> str:
    """Return the address as libpq reads it."""
    rest = {name: value for name, value in address.options.items() if name not in OPTIONS}
    return f"postgresql:{address.place}{'?' + urlencode(rest) if rest else ''}"


def _shown(address: Address, column: str) -> str:
    return f"{address.shown}?table={address.take('table')}&column={column}"


class PgvectorStore:
    """A column of vectors; items are told apart by the table's primary key, or another unique column.

    Parameters
    ----------
    address
        Where it is.
    connection
        To the database; closed with the store.
    column
        What is known of the column.
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

        Parameters
        ----------
        text
            With `{t}`, `{c}`, `{id}` for the table, the column and the id, and other names given.
        values
            Of its `%s`.
        names
            SQL pieces, or names to be quoted, by name.
        """
        with one_line(self.address.secrets):
            cursor = self.connection.execute(self.sql(text, **names), values, binary=True)
            return list(cursor.fetchall()) if cursor.description else []

    def sql(self, text: str, /, **names: Any) -> Any:
        """Return a statement with its names filled in, quoted."""
        sql = import_extra("psycopg.sql", EXTRA)
        column = self.column
        known = {"t": column.table, "c": column.name, "id": column.id, **names}
        pieces = {
            # Values are put in by %s, so that a % of a name is written twice.
            key: piece
            if isinstance(piece, sql.Composable)
            else sql.Identifier(
                *(
                    part.replace("%", "%%")
                    for part in ([piece] if isinstance(piece, str) else piece)
                )
            )
            for key, piece in known.items()
        }
        return sql.SQL(text).format(**pieces)

    def count(self) -> int:
        """Return the number of rows whose vector is not NULL."""
        return int(self.query("SELECT count({c}) FROM {t}")[0][0])

    def batches(self, size: int, after: Any = None) -> Iterator[Batch]:
        """Give items in the order of their ids, those without a vector left out."""
        return by_id(self, "{c} IS NOT NULL", size, after)

    def batch(self, rows: list[tuple[Any, bytes | None]]) -> Batch:
        """Return rows of (id, vector) as a batch."""
        ids = [row[0] for row in rows]
        return Batch(ids, to_array([row[1] for row in rows], self.column.kind, self.dim, ids))

    def sample(self, size: int) -> Batch:
        """Return the items whose ids have the smallest hashes."""
        rows = self.query(
            "SELECT {id}, {c} FROM {t} WHERE {c} IS NOT NULL "
            "ORDER BY hashtextextended({id}::text, 0), {id} LIMIT %s",
            size,
        )
        return self.batch(rows)

    def read(self, ids: Sequence[Any]) -> Array:
        """Return the vectors of items, a row of NaN where there is none."""
        found = self.query(
            "SELECT w.i, {t}.{c} FROM unnest(%s::{kind}[]) WITH ORDINALITY AS w(id, i) "
            "JOIN {t} ON {t}.{id} = w.id WHERE {t}.{c} IS NOT NULL ORDER BY w.i",
            list(ids),
            kind=self.id_type,
        )
        vectors = np.full((len(ids), self.dim), np.nan, np.float32)
        if found:
            places = [row[0] - 1 for row in found]
            vectors[places] = to_array(
                [row[1] for row in found], self.column.kind, self.dim, places
            )
        return vectors

    @property
    def id_type(self) -> Any:
        """The type of the ids, as SQL."""
        return import_extra("psycopg.sql", EXTRA).SQL(self.column.id_type)

    def search(self, queries: Array, k: int) -> list[list[Any]]:
        """Return the nearest items of each query, by the column's index where it has one."""
        operator = import_extra("psycopg.sql", EXTRA).SQL(OPERATORS[self.metric or "cosine"])
        kind = import_extra("psycopg.sql", EXTRA).SQL(self.column.kind)
        found = []
        for query in to_sent(queries, self.column.kind):
            rows = self.query(
                "SELECT {id} FROM {t} WHERE {c} IS NOT NULL ORDER BY {c} {op} %s::{kind} LIMIT %s",
                query,
                k,
                op=operator,
                kind=kind,
            )
            found.append([row[0] for row in rows])
        return found

    def mark(self) -> Mark | None:
        """Return what the column's comment says of a migration."""
        return self.column_mark(self.column.name)

    def column_mark(self, column: str) -> Mark | None:
        """Return what the comment of a column of this table says; None where there is no such one."""
        rows = self.query(
            "SELECT col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attname = %s AND NOT attisdropped",
            self.column.qualified,
            column,
        )
        return Mark.from_text(rows[0][0]) if rows else None

    def target(self, text: str, mark: Mark) -> PgvectorTarget:
        """Return another column of the same table.

        Raises
        ------
        InputError
            For another kind of store, another database or table, and the column itself.
        """
        from intertwine.stores.pgvector_target import target_of

        return target_of(self, text, mark)
