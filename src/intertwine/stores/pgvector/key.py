"""The columns that tell the rows of a table of PostgreSQL apart: one or several."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.untrusted import printable
from intertwine.stores.pgvector.wire import EXTRA
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.stores.pgvector.catalog import Attribute, Table

# Types that psycopg reads and writes in binary with nothing lost, and as what they travel. Ids of
# all others travel as text, which the server reads and writes.
NATIVE = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "oid": "oid",
    "float4": "double precision",
    "float8": "double precision",
    "numeric": "numeric",
    "bool": "boolean",
    "text": "text",
    "varchar": "text",
    "name": "text",
    "uuid": "uuid",
    "bytea": "bytea",
    "inet": "inet",
}
TEXT = "text"
# Their texts depend on settings of the session, and Python's have neither infinity nor years before
# Christ: they travel as JSON writes them.
DATES = ("date", "timestamp", "timestamptz")


@dataclass(frozen=True)
class KeyColumn:
    """One of the columns that tell rows apart.

    `type` is the schema and name of its type, or of what that is a domain over; `sent` the type as
    which its values come and go; `operators` the schemas of `=` and `>` for its values.
    """

    name: str
    type: tuple[str, str]
    sent: str
    domain: bool
    operators: tuple[str, str]

    @classmethod
    def of(cls, attribute: Attribute) -> KeyColumn:
        """Return a column of a table as a part of its key."""
        own = attribute.base_schema == "pg_catalog"
        sent = NATIVE.get(attribute.base_name, TEXT) if own else TEXT
        kind = attribute.base_schema, attribute.base_name
        return cls(attribute.name, kind, sent, attribute.domain, attribute.operators)

    def own(self, name: Any) -> Any:
        """Return the column, a piece of SQL, as what a value that is sent `back` compares with."""
        return self.cast(name) if self.domain else name

    def compared(self, left: Any, sign: str, right: Any) -> Any:
        """Return a comparison by `=` or `>`, which may not be on the search path."""
        sql = import_extra("psycopg.sql", EXTRA)
        place = sql.Identifier(self.operators[sign == ">"])
        return sql.SQL(f"{{}} OPERATOR({{}}.{sign}) {{}}").format(left, place, right)

    def back(self, value: Any) -> Any:
        """Return a value of type `sent`, a piece of SQL, as one that is compared with the column.

        No length is named, at which the server would cut it off.
        """
        if self.type[0] == "pg_catalog" and self.type[1] in NATIVE and self.type[1] != "float4":
            return value
        return self.cast(value)

    def sending(self, value: Any) -> Any:
        """Return a value of the column's type, a piece of SQL, as it is sent."""
        sql = import_extra("psycopg.sql", EXTRA)
        dated = self.type[0] == "pg_catalog" and self.type[1] in DATES
        text = "(to_json({}) #>> '{{}}')" if dated else f"{{}}::{self.sent}"
        return sql.SQL(text).format(value)

    def cast(self, value: Any) -> Any:
        """Return a value as one of the column's type, or of what that is a domain over."""
        sql = import_extra("psycopg.sql", EXTRA)
        return sql.SQL("{}::{}").format(value, sql.Identifier(*self.type))


@dataclass(frozen=True)
class Key:
    """The columns that tell rows apart; an id is their value, or a tuple of several."""

    columns: tuple[KeyColumn, ...]

    @property
    def sent(self) -> tuple[str, ...]:
        """The types as which values come and go."""
        return tuple(column.sent for column in self.columns)

    def values(self, item: Any) -> list[Any]:
        """Return an id's values, one a column."""
        return list(item) if len(self.columns) > 1 else [item]

    def item(self, row: Sequence[Any]) -> Any:
        """Return the id that a row begins with."""
        return tuple(row[: len(self.columns)]) if len(self.columns) > 1 else row[0]

    def by_column(self, items: Sequence[Any]) -> list[list[Any]]:
        """Return the values of ids, a list a column."""
        return [list(part) for part in zip(*map(self.values, items), strict=True)] or [
            [] for _ in self.columns
        ]

    def pieces(self, table: Any) -> dict[str, Any]:
        """Return the SQL of the key by the names that `PgvectorStore.sql` knows, for a quoted table.

        `id`: the columns. `order`: to order by, which `ids` is not, as it may select text under the
        same names. `ids`: what to select. `behind`: a condition of rows behind an id whose `values`
        are put in. `id_text`: one text an id. `read`: ids that the texts of row `b` of
        `text_arrays` spell, `spelt`, as the table has them. `sent_columns`: columns `k0, k1, …` of
        a table of ids, with their types; `sent_names`: only their names; `sent_arrays`: those
        columns as arrays to be put in, `by_column`. `same`: that a row of the table is that of row
        `b` of such a table.
        """
        sql = import_extra("psycopg.sql", EXTRA)
        names = [sql.Identifier(column.name) for column in self.columns]
        sent = [sql.SQL(column.sent) for column in self.columns]
        comma, places = sql.SQL(", "), [sql.Identifier(f"k{i}") for i in range(len(names))]

        def joined(template: str, by: Any, *parts: list[Any]) -> Any:
            return by.join(sql.SQL(template).format(*part) for part in zip(*parts, strict=True))

        whole = comma.join(names)
        own = [
            column.own(sql.SQL("{}.{}").format(table, name))
            for column, name in zip(self.columns, names, strict=True)
        ]
        return {
            "id": whole,
            "order": joined("{}.{}", comma, [table] * len(names), names),
            "ids": comma.join(
                column.sending(name) for column, name in zip(self.columns, names, strict=True)
            ),
            "behind": self._behind(own),
            "id_text": sql.SQL("{}::text" if len(names) == 1 else "ROW({})::text").format(whole),
            "read": comma.join(self._read(table, names)),
            "sent_columns": joined("{} {}", comma, places, sent),
            "sent_names": comma.join(places),
            "sent_arrays": joined("%s::{}[]", comma, sent),
            "same": sql.SQL(" AND ").join(self._compared(own, "=")),
            "spelt": sql.SQL(" AND ").join(self._compared(own, "=", spelt=True)),
            "text_arrays": comma.join([sql.SQL("%s::text[]")] * len(names)),
        }

    def _compared(self, own: list[Any], sign: str, *, spelt: bool = False) -> list[Any]:
        """Return comparisons of the columns with those, or with texts, of row `b` of a table of ids."""
        sql = import_extra("psycopg.sql", EXTRA)
        places = [sql.Identifier("b", f"k{i}") for i in range(len(own))]
        return [
            column.compared(each, sign, column.cast(place) if spelt else column.back(place))
            for column, each, place in zip(self.columns, own, places, strict=True)
        ]

    def _read(self, table: Any, names: list[Any]) -> list[Any]:
        """Return what texts spell, in the table's own spelling where the row is there."""
        sql = import_extra("psycopg.sql", EXTRA)
        return [
            sql.SQL("coalesce({}, {})").format(
                column.sending(sql.SQL("{}.{}").format(table, name)),
                column.sending(column.cast(sql.Identifier("b", f"k{i}"))),
            )
            for i, (column, name) in enumerate(zip(self.columns, names, strict=True))
        ]

    def spelt(self, text: str) -> list[str]:
        """Return the texts of an id's values: the whole text, or the values between commas."""
        found = [text] if len(self.columns) == 1 else next(csv.reader([text]), [])
        if len(found) != len(self.columns):
            expected = ",".join(column.name for column in self.columns)
            raise InputError(f"got id {text!r}, expected {len(self.columns)} values: {expected}")
        return found

    def _behind(self, own: list[Any]) -> Any:
        """Return the condition that rows are behind an id in the order of the key."""
        sql = import_extra("psycopg.sql", EXTRA)
        comma = sql.SQL(", ")
        given = [sql.SQL(f"%s::{column.sent}") for column in self.columns]
        places = {column.operators[1] for column in self.columns}
        if len(places) == 1:
            back = [column.back(each) for column, each in zip(self.columns, given, strict=True)]
            row = sql.SQL("({}) OPERATOR({}.>) ({})")
            return row.format(comma.join(own), sql.Identifier(*places), comma.join(back))
        # Rows are compared by one operator only: where the columns have several, one after the other.
        alike, more = self._compared(own, "="), self._compared(own, ">")
        ways = [sql.SQL(" AND ").join([*alike[:i], more[i]]) for i in range(len(own))]
        return sql.SQL("EXISTS (SELECT 1 FROM (VALUES ({})) AS b({}) WHERE {})").format(
            comma.join(given),
            comma.join(sql.Identifier(f"k{i}") for i in range(len(own))),
            sql.SQL(" OR ").join(ways),
        )


def named_columns(text: str, attributes: Mapping[str, Attribute], name: str) -> list[str]:
    """Return the columns that `id=…` names, each once: one, or several with commas between."""
    found = [text] if text in attributes else next(csv.reader([text], skipinitialspace=True))
    for column in found:
        if column not in attributes:
            raise InputError(f"{name}: there is no column {column!r} to be the id")
    if len(set(found)) < len(found):
        raise InputError(f"{name}: id={text} names a column twice")
    return found


def find_key(
    connection: Any,
    table: Table,
    asked: str | None,
    attributes: Mapping[str, Attribute],
    name: str,
) -> Key:
    """Return the key of a table: the columns that `asked` names, or else the primary key.

    Its columns must not be NULL, nor the same in two rows; `name` is what errors call the store.
    """
    unique = _unique_columns(connection, table.oid)
    if asked is None:
        if not unique or not unique[0][1]:
            raise InputError(
                f"{name}: the table has no primary key; name a unique column, or several that tell "
                "rows apart together: id=COLUMN or id=COLUMN,COLUMN"
            )
        columns = unique[0][0]
    else:
        columns = named_columns(asked, attributes, name)
    # An index of a table says nothing of the tables that inherit from it.
    known = any(set(found) == set(columns) for found, _ in unique) and not _has_heirs(
        connection, table.oid
    )
    _require_no_null(connection, table, [c for c in columns if not attributes[c].not_null], name)
    key = Key(tuple(KeyColumn.of(attributes[column]) for column in columns))
    if not known:
        _require_distinct(connection, table, columns, name)
    return key


def _unique_columns(connection: Any, oid: int) -> list[tuple[list[str], bool]]:
    """Return the columns of whole, valid unique indexes, the primary key's first and marked."""
    rows = connection.execute(
        "SELECT array(SELECT a.attname::text FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(n, i) "
        "JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.n "
        "WHERE k.i <= x.indnkeyatts ORDER BY k.i), x.indisprimary FROM pg_index x "
        "WHERE x.indrelid = %s AND x.indisunique AND x.indisvalid AND x.indpred IS NULL "
        "AND x.indexprs IS NULL ORDER BY x.indisprimary DESC",
        [oid],
    )
    return [(list(columns), primary) for columns, primary in rows]


def _has_heirs(connection: Any, oid: int) -> bool:
    rows = connection.execute(
        "SELECT 1 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent "
        "WHERE c.oid = %s AND c.relkind <> 'p' LIMIT 1",
        [oid],
    )
    return rows.fetchone() is not None


def _require_no_null(connection: Any, table: Table, columns: Sequence[str], name: str) -> None:
    """Raise where a column of the key is NULL: such rows cannot be told apart."""
    sql = import_extra("psycopg.sql", EXTRA)
    for column in columns:
        text = sql.SQL("SELECT count(*) FROM {t} WHERE {c} IS NULL").format(
            t=sql.Identifier(*table.place), c=sql.Identifier(column)
        )
        (count,) = connection.execute(text).fetchone()
        if count:
            raise InputError(
                f"{name}: id column {column!r} is NULL in {counted(count, 'row')}, which cannot be told apart; "
                "set it there, or name another column: id=COLUMN"
            )


def _require_distinct(connection: Any, table: Table, columns: Sequence[str], name: str) -> None:
    """Raise where two rows have one id."""
    sql = import_extra("psycopg.sql", EXTRA)
    names = [sql.Identifier(column) for column in columns]
    text = sql.SQL(
        "SELECT concat_ws(',', {shown}), count(*) FROM {t} GROUP BY {id} HAVING count(*) > 1 LIMIT 1"
    ).format(
        shown=sql.SQL(", ").join(sql.SQL("{}::text").format(each) for each in names),
        t=sql.Identifier(*table.place),
        id=sql.SQL(", ").join(names),
    )
    twice = connection.execute(text).fetchone()
    if twice is not None:
        raise InputError(
            f"{name}: id {printable(twice[0])} stands in {twice[1]} rows, expected a column that tells rows apart"
        )
