"""What a new column takes over from an old one: storage, statistics, privileges, NOT NULL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.stores.pgvector.catalog import TREE, fitting
from intertwine.stores.pgvector.locks import patiently
from intertwine.stores.pgvector.wire import EXTRA

if TYPE_CHECKING:
    from intertwine.stores.pgvector.column import Column
    from intertwine.stores.pgvector.store import PgvectorStore

STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "x": "EXTENDED", "m": "MAIN"}
COMPRESSION = {"p": "pglz", "l": "lz4"}
# Ends the name of the constraint by which NULL is refused.
PROMISE = "_not_null_intertwine"
# Rows that are not moved out of line must fit a block of 8 KiB.
LARGEST_PLAIN = 7000


def make_alike(store: PgvectorStore, old: Column, new: Column) -> None:
    """Set a new column's storage, statistics and privileges as an old one's."""
    found = dict(_settings(store, old.name))
    if found.get("storage") == "PLAIN" and new.dim * 8 > LARGEST_PLAIN:
        del found["storage"]
    for name, value in found.items():
        sql = import_extra("psycopg.sql", EXTRA)
        piece = sql.SQL(f"{name.upper()} {value}")
        store.query("ALTER TABLE {t} ALTER COLUMN {n} SET {piece}", n=new.name, piece=piece)
    grant_alike(store, old.name, new.name)


def _settings(store: PgvectorStore, column: str) -> list[tuple[str, str]]:
    """Return what was set for a column by hand, as ALTER COLUMN … SET takes it."""
    (row,) = store.query(
        "SELECT a.attstorage::text, t.typstorage::text, a.attstattarget::int4, "
        "coalesce(to_jsonb(a) ->> 'attcompression', '') FROM pg_attribute a "
        "JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = %s AND a.attname = %s",
        store.column.oid,
        column,
    )
    storage, usual, statistics, compression = row
    found = []
    if storage != usual:
        found.append(("storage", STORAGE[storage]))
    if statistics is not None and statistics >= 0:
        found.append(("statistics", str(statistics)))
    if compression in COMPRESSION:
        found.append(("compression", COMPRESSION[compression]))
    return found


def grant_alike(store: PgvectorStore, old: str, new: str) -> None:
    """Grant on a column what is granted on another, in the table and its parts."""
    sql = import_extra("psycopg.sql", EXTRA)
    rows = store.query(
        f"WITH RECURSIVE {TREE} "  # noqa: S608 - ours
        "SELECT n.nspname, c.relname, g.privilege_type, r.rolname, g.is_grantable "
        "FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %s "
        "CROSS JOIN LATERAL aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee",
        store.column.oid,
        old,
    )
    for schema, table, privilege, role, grantable in rows:
        store.query(
            "GRANT {privilege} ({column}) ON {table} TO {role} {option}",
            privilege=sql.SQL(privilege),
            column=new,
            table=(schema, table),
            role=_role(role),
            option=sql.SQL("WITH GRANT OPTION" if grantable else ""),
        )


def _role(name: str | None) -> Any:
    sql = import_extra("psycopg.sql", EXTRA)
    return sql.SQL("PUBLIC") if name is None else sql.Identifier(name)


# NOT NULL of a large table is set without a look through all rows while everybody waits.
def promise_not_null(store: PgvectorStore, column: str) -> None:
    """Refuse NULL from now on, without a look at the rows that are there."""
    store.query(
        "ALTER TABLE {t} ADD CONSTRAINT {k} CHECK ({n} IS NOT NULL) NOT VALID",
        k=fitting(column, PROMISE),
        n=column,
    )


def withdraw_not_null(store: PgvectorStore, column: str) -> None:
    """Accept NULL again in a column, whether its rows were looked at or not."""
    store.query("ALTER TABLE {t} ALTER COLUMN {n} DROP NOT NULL", n=column)
    store.query("ALTER TABLE {t} DROP CONSTRAINT IF EXISTS {k}", k=fitting(column, PROMISE))


def set_not_null(store: PgvectorStore, column: str) -> None:
    """Set NOT NULL where it was promised, after a look at the rows beside readers and writers."""
    name = fitting(column, PROMISE)
    found = store.query(
        "SELECT 1 FROM pg_constraint WHERE conrelid = %s AND conname = %s", store.column.oid, name
    )
    if found:
        store.query("ALTER TABLE {t} VALIDATE CONSTRAINT {k}", k=name)
        patiently(store, lambda: _set_now(store, column, name))


def _set_now(store: PgvectorStore, column: str, name: str) -> None:
    # The server knows from the constraint that it need not look again.
    store.query("ALTER TABLE {t} ALTER COLUMN {n} SET NOT NULL", n=column)
    store.query("ALTER TABLE {t} DROP CONSTRAINT {k}", k=name)
