"""NOT NULL of a large table, set without a look through all rows while everybody waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.stores.pgvector.locks import patiently
from intertwine.stores.pgvector.names import fitting

if TYPE_CHECKING:
    from intertwine.stores.pgvector.store import PgvectorStore

ENDING = "_not_null_intertwine"


def promise(store: PgvectorStore, column: str) -> None:
    """Refuse NULL from now on, and look at the rows that are there later."""
    store.query(
        "ALTER TABLE {t} ADD CONSTRAINT {k} CHECK ({n} IS NOT NULL) NOT VALID",
        k=fitting(column, ENDING),
        n=column,
    )


def withdraw(store: PgvectorStore, column: str) -> None:
    """Take NULL again in a column, whether its promise was kept yet or not."""
    store.query("ALTER TABLE {t} ALTER COLUMN {n} DROP NOT NULL", n=column)
    store.query("ALTER TABLE {t} DROP CONSTRAINT IF EXISTS {k}", k=fitting(column, ENDING))


def keep(store: PgvectorStore, column: str) -> None:
    """Look at the rows, beside readers and writers, and set NOT NULL; nothing without a promise."""
    name = fitting(column, ENDING)
    found = store.query(
        "SELECT 1 FROM pg_constraint WHERE conrelid = %s AND conname = %s", store.column.oid, name
    )
    if found:
        store.query("ALTER TABLE {t} VALIDATE CONSTRAINT {k}", k=name)
        patiently(store, lambda: _set(store, column, name))


def _set(store: PgvectorStore, column: str, name: str) -> None:
    # The server knows from the constraint that it need not look again.
    store.query("ALTER TABLE {t} ALTER COLUMN {n} SET NOT NULL", n=column)
    store.query("ALTER TABLE {t} DROP CONSTRAINT {k}", k=name)
