"""The facts of a column of vectors, from the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.untrusted import printable
from intertwine.stores.pgvector.catalog import TREE, Table, attributes_of, find_table, only_catalog
from intertwine.stores.pgvector.key import Key, find_key
from intertwine.stores.pgvector.wire import ARRAYS, EXTRA, KINDS, Extension, find_extension

if TYPE_CHECKING:
    from intertwine.stores.pgvector.catalog import Attribute
    from intertwine.stores.store import Metric

# pgvector's longest vector; arrays are searched as such.
MOST_DIMENSIONS = 16_000
# What `type=…` may say.
SPELLINGS = {
    **{kind: kind for kind in KINDS},
    "float4[]": "real[]",
    "float8[]": "double precision[]",
}
# Of types that hold vectors and cannot be mapped: why not, and what to do.
REFUSED = {
    "bit": "binary codes have no directions to map",
    "varbit": "binary codes have no directions to map",
    "sparsevec": "sparse vectors are of words, which no map of a dense space fits",
    "jsonb": "add a column of type vector and fill it from there first",
    "json": "add a column of type vector and fill it from there first",
    "text": "add a column of type vector and fill it from there first",
    "_numeric": "change the column's type to real[] or vector first",
}


# Ends of the names of pgvector's operator classes.
CLASSES: dict[str, Metric] = {"_cosine_ops": "cosine", "_ip_ops": "ip", "_l2_ops": "l2"}
# Of all indexes by which vectors of a column are searched, over expressions of it too; codes of bits
# are made of vectors of any metric.
_CLASSES = (
    "WITH RECURSIVE "
    + TREE
    + """
SELECT DISTINCT o.opcname FROM tree JOIN pg_index x ON x.indrelid = tree.oid AND x.indisvalid
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_am m ON m.oid = i.relam AND m.amname IN ('hnsw', 'ivfflat')
JOIN pg_opclass o ON o.oid = x.indclass[0] AND o.opcname NOT LIKE 'bit%%'
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.oid
 AND d.refclassid = 'pg_class'::regclass AND d.refobjid = tree.oid
JOIN pg_attribute a ON a.attrelid = tree.oid AND a.attnum = d.refobjsubid AND a.attname = %s
"""
)


@dataclass(frozen=True)
class Column:
    """A column of vectors, with its table's schema and name and the key that tells rows apart.

    `kind` is `vector`, `halfvec`, `real[]` or `double precision[]`. The metric is that of its
    indexes, None without any, or where they differ. `oid` is the table's number, `relation` as in
    `Table`.
    """

    table: tuple[str, str]
    name: str
    key: Key
    kind: str
    dim: int
    metric: Metric | None
    extension: Extension
    oid: int
    relation: str = "r"

    @property
    def qualified(self) -> str:
        """The table's name as text, quoted."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in self.table)

    @property
    def type(self) -> Any:
        """The type of its vectors as SQL, with its schema and without a dimension."""
        sql = import_extra("psycopg.sql", EXTRA)
        own = self.kind in ARRAYS
        return sql.SQL(self.kind) if own else sql.Identifier(self.extension.schema, self.kind)

    @property
    def declared(self) -> Any:
        """The type as a new column of these vectors is declared, with any dimension."""
        sql = import_extra("psycopg.sql", EXTRA)
        size = "" if self.kind in ARRAYS else f"({self.dim})"
        return sql.SQL("{}{}").format(self.type, sql.SQL(size))

    @property
    def sent_types(self) -> list[int | str]:
        """The types of rows of (id, vector) on the wire; pgvector's have no names to go by."""
        return [*self.key.sent, self.extension.types[self.kind]]


def asked_kind(text: str | None, extension: Extension, name: str) -> str | None:
    """Return the type that `type=…` asks for, which this pgvector must have; None without it."""
    if text is None:
        return None
    kind = SPELLINGS.get(" ".join(text.lower().split()))
    if kind is None:
        raise InputError(f"{name}: got type {text!r}, expected {', '.join(KINDS)}")
    if kind not in extension.types:
        raise InputError(
            f"{name}: this pgvector has no {kind}, which came with version 0.7; update it"
        )
    return kind


def find_column(connection: Any, table: str, column: str, key: str | None, name: str) -> Column:
    """Look a column up, all of whose vectors must have one dimension.

    The key is the primary key unless `key` names its columns; `name` is what errors call the
    column.
    """
    with connection.transaction():
        found, extension = find_table(connection, table, name), find_extension(connection)
        only_catalog(connection)
        attributes = attributes_of(connection, found.oid)
        if column not in attributes:
            raise InputError(
                f"{name}: there is no such column, only {printable(', '.join(attributes))}"
            )
        kind = _kind(attributes[column], extension.schema, name)
        modifier = attributes[column].modifier
        dim = modifier if kind not in ARRAYS and modifier > 0 else None
        return Column(
            found.place,
            column,
            find_key(connection, found, key, attributes, name),
            kind,
            dim or _common_dimension(connection, found, column, kind, name),
            _metric(connection, found.oid, column),
            extension,
            found.oid,
            found.relation,
        )


def require_dimension(dim: int, name: str) -> None:
    """Raise for more dimensions than pgvector takes."""
    if dim > MOST_DIMENSIONS:
        raise InputError(
            f"{name}: got {dim:,} dimensions, expected at most {MOST_DIMENSIONS:,}, as many as "
            "pgvector's vectors have"
        )


def kind_of(connection: Any, table: Column, column: str) -> str | None:
    """Return the type of vectors of another column of a table; None where it has none of them."""
    with connection.transaction():
        only_catalog(connection)
        found = attributes_of(connection, table.oid).get(column)
    return None if found is None else _known_kind(found, table.extension.schema)


def _known_kind(found: Attribute, schema: str) -> str | None:
    place = schema if found.base_name in KINDS else "pg_catalog"
    kind = next((each for each, own in KINDS.items() if own == found.base_name), None)
    return kind if found.base_schema == place else None


def _metric(connection: Any, oid: int, column: str) -> Metric | None:
    """Return the metric of a column's indexes; None without any, or where they differ."""
    rows = connection.execute(_CLASSES, [oid, column]).fetchall()
    found = {
        next((CLASSES[end] for end in CLASSES if name.endswith(end)), None) for (name,) in rows
    }
    return found.pop() if len(found) == 1 else None


def _kind(found: Attribute, schema: str, name: str) -> str:
    """Return which of the types that can be mapped a column has."""
    kind = _known_kind(found, schema)
    if kind is not None:
        return kind
    why = REFUSED.get(found.base_name)
    raise InputError(
        f"{name}: holds {printable(found.type)}, expected {', '.join(KINDS)}{'; ' + why if why else ''}"
    )


def _common_dimension(connection: Any, table: Table, column: str, kind: str, name: str) -> int:
    """Return the dimension of vectors in a column that states none."""
    sql = import_extra("psycopg.sql", EXTRA)
    # Of an array of several axes the number of all its numbers says nothing.
    count = (
        "CASE WHEN array_ndims({c}) > 1 THEN -array_ndims({c}) ELSE cardinality({c}) END"
        if kind in ARRAYS
        else "{v}.vector_dims({c})"
    )
    rows = connection.execute(
        sql.SQL(
            f"SELECT {count} d, count(*) FROM {{t}} WHERE {{c}} IS NOT NULL GROUP BY d "  # noqa: S608 - ours
            "ORDER BY count(*) DESC"
        ).format(
            c=sql.Identifier(column),
            v=sql.Identifier(find_extension(connection).schema),
            t=sql.Identifier(*table.place),
        )
    ).fetchall()
    if len(rows) != 1 or rows[0][0] < 1:
        found = ", ".join(f"{count} of {_dimension(dim)}" for dim, count in rows) or "none"
        raise InputError(
            f"{name}: got vectors of several dimensions, or none ({found}), expected one dimension; "
            "set what is not of this model to NULL"
        )
    require_dimension(int(rows[0][0]), name)
    return int(rows[0][0])


def _dimension(found: int) -> str:
    return f"dimension {found}" if found >= 0 else f"{-found} axes"
