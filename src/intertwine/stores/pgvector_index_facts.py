"""The indexes of a table of PostgreSQL that read a column of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.stores.store import Metric

# Ends of the names of pgvector's operator classes.
CLASSES: dict[str, Metric] = {"_cosine_ops": "cosine", "_ip_ops": "ip", "_l2_ops": "l2"}
METHODS = ("hnsw", "ivfflat")
# The types that it has operator classes for, of the same endings.
PLAIN = ("vector", "halfvec")

# Also those of partitions and heirs; not those that are part of one of a partitioned table.
_INDEXES = """
WITH RECURSIVE family AS (
    SELECT %s::oid AS oid
    UNION ALL
    SELECT h.inhrelid FROM pg_inherits h JOIN family ON family.oid = h.inhparent
)
SELECT n.nspname, i.relname, array[tn.nspname, t.relname]::text[], am.amname,
       o.opcname, array[os.nspname, o.opcname]::text[], coalesce(i.reloptions, '{}')::text[],
       array(SELECT pg_get_indexdef(x.indexrelid, k, false)
             FROM generate_series(1, x.indnkeyatts) k)::text[],
       array(SELECT pg_get_indexdef(x.indexrelid, k, false)
             FROM generate_series(x.indnkeyatts + 1, x.indnatts) k)::text[],
       CASE WHEN x.indkey[0] = 0 THEN pg_get_indexdef(x.indexrelid, 1, false) END,
       pg_get_expr(x.indpred, x.indrelid),
       array(SELECT c.attname FROM pg_attribute c WHERE c.attrelid = x.indrelid AND c.attnum > 0
             AND (c.attnum = ANY (x.indkey::int2[]) OR EXISTS (
                 SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                 AND d.objid = x.indexrelid AND d.refclassid = 'pg_class'::regclass
                 AND d.refobjid = x.indrelid AND d.refobjsubid = c.attnum))
             ORDER BY c.attnum)::text[],
       s.spcname, x.indisvalid, x.indisunique,
       (SELECT k.conname FROM pg_constraint k WHERE k.conindid = x.indexrelid
        AND k.contype IN ('p', 'u', 'x') LIMIT 1),
       i.relkind = 'I', pg_get_indexdef(x.indexrelid)
FROM family
JOIN pg_index x ON x.indrelid = family.oid
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_namespace n ON n.oid = i.relnamespace
JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_am am ON am.oid = i.relam
JOIN pg_opclass o ON o.oid = x.indclass[0]
JOIN pg_namespace os ON os.oid = o.opcnamespace
LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace
WHERE NOT EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = x.indexrelid)
ORDER BY n.nspname, i.relname
"""


@dataclass(frozen=True)
class Index:
    """An index that reads a column of vectors.

    Parameters
    ----------
    schema, name
        Of the index.
    table
        Schema and name of the table that it lies on: the column's own, or a partition or heir of it.
    method
        Such as `hnsw` or `ivfflat`.
    opclass, opclass_place
        Operator class of its first key: its name, and its schema and name.
    options
        Such as `m=16`.
    keys
        What it is over, as SQL: columns, quoted where needed, and expressions.
    include
        Columns that it holds beside, as SQL.
    expression
        Its first key as SQL where that is no plain column, else None.
    predicate
        Of a partial index, as SQL, else None.
    columns
        All columns of the table that it reads, in keys, expressions or predicate.
    tablespace
        Where it lies; None for the database's own.
    valid
        Whether it can be used; one whose building was cut off cannot.
    unique, constraint
        Whether it is unique, and the constraint that it serves, if any.
    partitioned
        Whether it is one of a partitioned table, with parts on the partitions.
    definition
        The whole statement that makes it.
    """

    schema: str
    name: str
    table: tuple[str, str]
    method: str
    opclass: str
    opclass_place: tuple[str, str]
    options: tuple[str, ...]
    keys: tuple[str, ...]
    include: tuple[str, ...]
    expression: str | None
    predicate: str | None
    columns: tuple[str, ...]
    tablespace: str | None
    valid: bool
    unique: bool
    constraint: str | None
    partitioned: bool
    definition: str

    @property
    def metric(self) -> Metric | None:
        """What it goes by; None for what this program does not know."""
        return next((CLASSES[end] for end in CLASSES if self.opclass.endswith(end)), None)

    @property
    def is_search(self) -> bool:
        """Whether searches of vectors use it: one of pgvector's, not of bits, that is whole."""
        return self.method in METHODS and self.valid and not self.opclass.startswith("bit_")

    @property
    def is_plain(self) -> bool:
        """Whether it is over the column itself, all rows, and nothing beside."""
        return self.expression is None and self.predicate is None and len(self.columns) == 1

    def opclass_on(self, kind: str) -> tuple[str, str] | None:
        """Return schema and name of the operator class that does the same for another type of vectors.

        None where pgvector has none, as for arrays.
        """
        own, _, what = self.opclass.partition("_")
        if kind not in PLAIN or own not in PLAIN:
            return None
        return self.opclass_place[0], f"{kind}_{what}"

    @property
    def shape(self) -> tuple[str, str, tuple[str, ...]]:
        """What two plain indexes of the same kind have in common."""
        return self.method, self.opclass, self.options


def indexes_of(connection: Any, oid: int, column: str) -> tuple[Index, ...]:
    """Return all indexes that read a column of a table, its partitions and heirs.

    In a transaction that `only_catalog` began, what they say bears schemas.
    """
    rows = connection.execute(_INDEXES, [oid]).fetchall()
    found = [_index(row) for row in rows]
    return tuple(index for index in found if column in index.columns)


def _index(row: Sequence[Any]) -> Index:
    values: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row]
    return Index(*values)
