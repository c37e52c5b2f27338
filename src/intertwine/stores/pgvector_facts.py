"""What a database says of a column of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.pgvector_wire import EXTRA, NUMBERS

if TYPE_CHECKING:
    from intertwine.stores.store import Metric

# Ends of the names of pgvector's operator classes.
CLASSES: dict[str, Metric] = {"_cosine_ops": "cosine", "_ip_ops": "ip", "_l2_ops": "l2"}


@dataclass(frozen=True)
class Index:
    """An index of pgvector's over one column.

    Parameters
    ----------
    method
        `hnsw` or `ivfflat`.
    opclass
        Its operator class.
    options
        Such as `m=16`.
    """

    method: str
    opclass: str
    options: tuple[str, ...]

    @property
    def metric(self) -> Metric | None:
        """What it goes by; None for what this program does not know."""
        return next((CLASSES[end] for end in CLASSES if self.opclass.endswith(end)), None)


@dataclass(frozen=True)
class Column:
    """A column of vectors.

    Parameters
    ----------
    table
        Schema and name.
    name
        The column.
    id, id_type
        What tells rows apart, and its type.
    kind
        `vector` or `halfvec`.
    dim
        Dimension.
    indexes
        Those of pgvector.
    """

    table: tuple[str, str]
    name: str
    id: str
    id_type: str
    kind: str
    dim: int
    indexes: tuple[Index, ...]

    @property
    def qualified(self) -> str:
        """The table's name as text, quoted."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in self.table)

    @property
    def metric(self) -> Metric | None:
        """What its indexes go by; None without any, or where they differ."""
        found = {index.metric for index in self.indexes}
        return found.pop() if len(found) == 1 else None


def find_column(connection: Any, table: str, column: str, key: str | None, name: str) -> Column:
    """Look a column up.

    Parameters
    ----------
    connection
        To the database.
    table, column
        Their names; the table's may have its schema in front.
    key
        The column that tells rows apart; the primary key when None.
    name
        What to call the column in an error.

    Raises
    ------
    InputError
        Where there is no such table or column, the column holds no vectors or several dimensions,
        or nothing tells rows apart.
    """
    found = connection.execute(
        "SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)",
        [table],
    ).fetchone()
    if found is None:
        raise InputError(f'{name}: there is no table {table!r} (capitals need "quotes")')
    oid, place = found[0], (found[1], found[2])
    kind, dim = _type(connection, oid, place, column, name)
    identity, id_type = _identity(connection, oid, place, key, name)
    return Column(place, column, identity, id_type, kind, dim, _indexes(connection, oid, column))


def _type(
    connection: Any, oid: int, place: tuple[str, str], column: str, name: str
) -> tuple[str, int]:
    attributes = {
        row[0]: row[1:]
        for row in connection.execute(
            "SELECT attname, typname, atttypmod FROM pg_attribute JOIN pg_type t ON t.oid = atttypid "
            "WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped",
            [oid],
        )
    }
    if column not in attributes:
        raise InputError(f"{name}: there is no such column, only {', '.join(attributes)}")
    kind, dim = attributes[column]
    if kind not in NUMBERS:
        raise InputError(f"{name}: holds {kind}, expected {' or '.join(NUMBERS)}")
    return kind, dim if dim > 0 else _common_dimension(connection, place, column, name)


def _common_dimension(connection: Any, place: tuple[str, str], column: str, name: str) -> int:
    """Return the dimension of vectors in a column that states none."""
    sql = import_extra("psycopg.sql", EXTRA)
    rows = connection.execute(
        sql.SQL(
            "SELECT vector_dims({c}) d, count(*) FROM {t} WHERE {c} IS NOT NULL GROUP BY d "
            "ORDER BY count(*) DESC"
        ).format(c=sql.Identifier(column), t=sql.Identifier(*place))
    ).fetchall()
    if len(rows) != 1:
        found = ", ".join(f"{count} of dimension {dim}" for dim, count in rows) or "none"
        raise InputError(
            f"{name}: got vectors of several dimensions, or none ({found}), expected one dimension; "
            "set what is not of this model to NULL"
        )
    return int(rows[0][0])


def _identity(
    connection: Any, oid: int, place: tuple[str, str], key: str | None, name: str
) -> tuple[str, str]:
    """Return the column that tells rows apart and its type."""
    keys = connection.execute(
        "SELECT attname, format_type(atttypid, NULL), indnatts FROM pg_index "
        "JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
        "WHERE indrelid = %s AND indisunique AND indpred IS NULL "
        "AND (indisprimary OR attname = %s) ORDER BY indisprimary DESC",
        [oid, key],
    ).fetchall()
    alone = [(row[0], row[1]) for row in keys if row[2] == 1 and key in {None, row[0]}]
    if alone:
        return alone[0]
    if key is None:
        raise InputError(
            f"{name}: the table has no primary key of one column; name a unique column: id=COLUMN"
        )
    sql = import_extra("psycopg.sql", EXTRA)
    names = {"id": sql.Identifier(key), "t": sql.Identifier(*place)}
    kind = connection.execute(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = %s AND attname = %s AND attnum > 0 AND NOT attisdropped",
        [oid, key],
    ).fetchone()
    if kind is None:
        raise InputError(f"{name}: there is no column {key!r} to be the id")
    twice = connection.execute(
        sql.SQL(
            "SELECT {id}::text, count(*) FROM {t} GROUP BY {id} "
            "HAVING count(*) > 1 OR {id} IS NULL LIMIT 1"
        ).format(**names)
    ).fetchone()
    if twice is not None:
        raise InputError(
            f"{name}: id {twice[0]} stands in {twice[1]} rows, expected a column that tells rows apart"
        )
    return key, str(kind[0])


def _indexes(connection: Any, oid: int, column: str) -> tuple[Index, ...]:
    rows = connection.execute(
        "SELECT amname, opcname, coalesce(i.reloptions, '{}') FROM pg_index x "
        "JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am ON pg_am.oid = i.relam "
        "JOIN pg_opclass o ON o.oid = x.indclass[0] "
        "JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0] "
        "WHERE x.indrelid = %s AND a.attname = %s AND x.indisvalid AND x.indpred IS NULL "
        "AND amname IN ('hnsw', 'ivfflat') ORDER BY i.relname",
        [oid, column],
    ).fetchall()
    return tuple(Index(method, opclass, tuple(options)) for method, opclass, options in rows)
