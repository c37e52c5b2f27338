"""Whether a column can be migrated: what is bound to it, fires for it, or hides rows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.storage.untrusted import printable
from intertwine.stores.pgvector.catalog import TREE
from intertwine.stores.pgvector.indexes import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intertwine.stores.pgvector.indexes import IndexBuilder
    from intertwine.stores.pgvector.store import PgvectorStore

KINDS = {
    "v": "a view",
    "m": "a materialised view",
    "f": "a foreign table",
    "t": "a table of PostgreSQL's own",
    "c": "a type",
}
# What `pg_depend` knows of the column, but for its indexes, which are carried over, and NOT NULL.
_BOUND = (
    "WITH RECURSIVE "
    + TREE
    + """
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
FROM tree JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = tree.oid
JOIN pg_attribute a ON a.attrelid = tree.oid AND a.attnum = d.refobjsubid AND a.attname = %s
LEFT JOIN pg_class i ON d.classid = 'pg_class'::regclass AND i.oid = d.objid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
WHERE (i.relkind IS NULL OR i.relkind NOT IN ('i', 'I') OR d.objsubid > 0)
AND (k.contype IS NULL OR k.contype <> 'n')
ORDER BY 1
"""
)
# Triggers that an UPDATE of the new column fires, under this session's role of replication.
_FIRED = (
    "WITH RECURSIVE "
    + TREE
    + """
SELECT DISTINCT format('trigger %%s on %%s', g.tgname, g.tgrelid::regclass)
FROM tree JOIN pg_trigger g ON g.tgrelid = tree.oid
WHERE NOT g.tgisinternal AND g.tgtype & 16 = 16 AND cardinality(g.tgattr::int2[]) = 0
AND g.tgenabled = ANY (CASE current_setting('session_replication_role')
    WHEN 'replica' THEN ARRAY['R', 'A'] ELSE ARRAY['O', 'A'] END::"char"[])
UNION
SELECT format('rule %%s on %%s', r.rulename, r.ev_class::regclass)
FROM tree JOIN pg_rewrite r ON r.ev_class = tree.oid
WHERE r.ev_type = '2' AND r.ev_enabled <> 'D'
ORDER BY 1
"""
)


@dataclass(frozen=True)
class Readiness:
    """Obstacles to a migration of a store's column, the old one."""

    store: PgvectorStore

    def require_table(self) -> None:
        """Raise for what is no table of its own, and for rows that this role does not see."""
        name = self.store.name
        kind, inherited, typed, hidden, role = self.store.query(
            "SELECT c.relkind::text, a.attinhcount > 0, c.reloftype <> 0, "
            "row_security_active(c.oid), current_user::text FROM pg_class c "
            "JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.oid = %s AND a.attname = %s",
            self.store.column.oid,
            self.store.column.name,
        )[0]
        if kind in KINDS:
            raise InputError(
                f"{name}: is {KINDS[kind]}, expected a table; migrate the table that the vectors are in"
            )
        if inherited or typed:
            of = "is a part of another table" if inherited else "is of a type"
            raise InputError(
                f"{name}: the table {of}, from which it has its columns; migrate that one as a whole"
            )
        if hidden:
            raise InputError(
                f"{name}: row-level security hides rows of the table from role {role!r}, which would "
                "keep no vector; use a role with BYPASSRLS, or ALTER TABLE … NO FORCE ROW LEVEL "
                "SECURITY as the owner until the migration is over"
            )

    def harm(self, builder: IndexBuilder) -> list[str]:
        """Return what would be wrong after a migration, each with what to do."""
        found = [self.bound(), self.domain(), self.fired(), *self.too_large(builder)]
        return [problem for problem in found if problem]

    def bound(self) -> str:
        """Return in words what is bound to the old column, whatever it is called; or nothing."""
        found = self.store.query(_BOUND, self.store.column.oid, self.store.column.name)
        if not found:
            return ""
        names = _listed(row[0].removeprefix("rule _RETURN on ") for row in found)
        return (
            f"{names} would stay with the old vectors after a switch; drop it first and create it "
            "again after the switch"
        )

    def domain(self) -> str:
        """Return in words the old column's domain, whose checks the new one would lack."""
        found = self.store.query(
            "SELECT t.oid::regtype::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
            "WHERE a.attrelid = %s AND a.attname = %s AND t.typtype = 'd'",
            self.store.column.oid,
            self.store.column.name,
        )
        if not found:
            return ""
        return (
            f"the column is of domain {found[0][0]}, and the new one would be of a plain type, without "
            "the domain's checks; change the old one's type first"
        )

    def published(self, columns: tuple[str, str]) -> list[str]:
        """Return warnings of what sends the table's rows to other servers."""
        found = self.store.query(
            "SELECT DISTINCT p.pubname FROM pg_publication_tables p "
            "WHERE p.schemaname = %s AND p.tablename = %s ORDER BY 1",
            *self.store.column.table,
        )
        names = _listed(row[0] for row in found)
        warning = (
            f"publication {names} sends the table to subscribers, which stop until their table has "
            f"columns {columns[0]} and {columns[1]} too, and exchange no names by themselves"
        )
        return [warning] if found else []

    def fired(self) -> str:
        """Return in words what an update of each row sets off; or nothing."""
        found = self.store.query(_FIRED, self.store.column.oid)
        if not found:
            return ""
        names = _listed(row[0] for row in found)
        return (
            f"{names} would be run for every row that is converted; limit it to the columns that it "
            "is meant for (CREATE TRIGGER … UPDATE OF …), or, as a superuser, add "
            "&options=-csession_replication_role%3Dreplica to both addresses, which runs none"
        )

    @staticmethod
    def too_large(builder: IndexBuilder) -> list[str]:
        """Return which indexes cannot be built over so many dimensions."""
        dims, kind = builder.carrying.dims[1], builder.carrying.kinds[1]
        return [
            (
                f"index {printable(index.name)} takes at most {limit:,} dimensions, and the new vectors "
                f"have {dims:,}; {_instead(dims)}, or drop it (forced, the new column goes without)"
                if limit
                else f"index {printable(index.name)} cannot be over a column of type {kind}; name another type=, or "
                "drop the index (forced, the new column goes without)"
            )
            for index in builder.sources
            if (limit := builder.carrying.over_limit(index)) is not None
        ]


def _instead(dims: int) -> str:
    """Return what can be indexed in place of so many dimensions."""
    if dims <= LIMITS["halfvec"]:
        return "add &type=halfvec to the target's address, or make it one over (COLUMN::halfvec(N))"
    return "make it one over (binary_quantize(COLUMN)::bit(N))"


def _listed(names: Iterator[str]) -> str:
    """Return some names in one line."""
    every = list(names)
    rest = f" and {len(every) - 5} more" if len(every) > 5 else ""
    return printable(", ".join(every[:5]) + rest)
