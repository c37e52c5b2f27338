"""Tables of PostgreSQL with their parts and columns, whose types are looked up by number, and names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

LONGEST_NAME = 63
# The table whose number is put in, its partitions, and what inherits from it.
TREE = """tree(oid) AS (
    SELECT %s::oid
    UNION SELECT h.inhrelid FROM pg_inherits h JOIN tree ON h.inhparent = tree.oid
)"""
# A domain is resolved to what it is made of: that is what travels.
_ATTRIBUTES = """
SELECT a.attname, a.attnum, a.attnotnull, format_type(a.atttypid, a.atttypmod), base.oid,
       base.typname, n.nspname, base.modifier, base.oid <> a.atttypid,
       coalesce((SELECT array[p.nspname, q.nspname]::text[] FROM pg_catalog.pg_opclass c
        JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
        JOIN pg_catalog.pg_amop e ON e.amopfamily = c.opcfamily AND e.amopstrategy = 3
         AND e.amoplefttype = base.oid AND e.amoprighttype = base.oid
        JOIN pg_catalog.pg_operator eo ON eo.oid = e.amopopr AND eo.oprname = '='
        JOIN pg_catalog.pg_namespace p ON p.oid = eo.oprnamespace
        JOIN pg_catalog.pg_amop g ON g.amopfamily = c.opcfamily AND g.amopstrategy = 5
         AND g.amoplefttype = base.oid AND g.amoprighttype = base.oid
        JOIN pg_catalog.pg_operator h ON h.oid = g.amopopr AND h.oprname = '>'
        JOIN pg_catalog.pg_namespace q ON q.oid = h.oprnamespace
        WHERE c.opcdefault AND c.opcintype = base.oid LIMIT 1), '{pg_catalog,pg_catalog}')
FROM pg_catalog.pg_attribute a
CROSS JOIN LATERAL (
    WITH RECURSIVE chain AS (
        SELECT t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, t.typtypmod,
               a.atttypmod AS modifier
        FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
        UNION ALL
        SELECT t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, t.typtypmod,
               chain.typtypmod
        FROM chain JOIN pg_catalog.pg_type t ON t.oid = chain.typbasetype
        WHERE chain.typtype = 'd'
    )
    SELECT * FROM chain WHERE typtype <> 'd'
) base
JOIN pg_catalog.pg_namespace n ON n.oid = base.typnamespace
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Table:
    """A table, or what looks like one; `place` is its schema and name.

    Its relation is `r` a table, `p` one with partitions, `v` a view, `m` a materialised view, `f` a
    foreign table.
    """

    oid: int
    place: tuple[str, str]
    relation: str


@dataclass(frozen=True)
class Attribute:
    """A column of a table.

    `type` is SQL with its modifiers and, where it is none of PostgreSQL's own, its schema. `base…`
    is of that type, or of what it is a domain over; the base's modifier, such as a dimension, is -1
    for none. `operators` are the schemas of `=` and `>` by which indexes tell values apart and
    order them.
    """

    name: str
    number: int
    not_null: bool
    type: str
    base: int
    base_name: str
    base_schema: str
    modifier: int
    domain: bool
    operators: tuple[str, str]


def find_table(connection: Any, text: str, name: str) -> Table:
    """Look a table up, on the search path unless its schema is in front."""
    found = connection.execute(
        "SELECT c.oid, n.nspname, c.relname, c.relkind::text FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s) "
        "AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
        [text],
    ).fetchone()
    if found is None:
        raise InputError(f'{name}: there is no table {text!r} (capitals need "quotes")')
    return Table(found[0], (found[1], found[2]), found[3])


def attributes_of(connection: Any, oid: int) -> dict[str, Attribute]:
    """Return a table's columns by name; in a transaction that `only_catalog` began."""
    rows = connection.execute(_ATTRIBUTES, [oid]).fetchall()
    values: list[list[Any]] = [[*row[:-1], tuple(row[-1])] for row in rows]
    return {row[0]: Attribute(*row) for row in values}


def only_catalog(connection: Any) -> None:
    """Make the server write other names than its own with their schema, until the transaction ends."""
    connection.execute("SET LOCAL search_path = pg_catalog")


def fitting(name: str, ending: str = "") -> str:
    """Return a name with an ending, cut to what PostgreSQL takes."""
    data = name.encode()
    most = LONGEST_NAME - len(ending.encode())
    if len(data) <= most:
        return name + ending
    mark = "_" + hashlib.sha256(data).hexdigest()[:8]
    return data[: most - len(mark)].decode(errors="ignore") + mark + ending


def free(name: str, ending: str, taken: Collection[str]) -> str:
    """Return a name with an ending, or a number behind it, that is not taken."""
    found, number = fitting(name, ending), 1
    while found in taken:
        number += 1
        found = fitting(name, f"{ending}_{number}")
    return found
