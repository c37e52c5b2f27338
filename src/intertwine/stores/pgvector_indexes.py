"""Indexes of a new column, as those of the old one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.extras import import_extra
from intertwine.stores.pgvector_index_facts import indexes_of
from intertwine.stores.pgvector_wire import EXTRA, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.stores.pgvector import PgvectorStore
    from intertwine.stores.pgvector_index_facts import Index


def build_indexes(store: PgvectorStore, wanted: Sequence[Index]) -> list[str]:
    """Build what a column lacks of some indexes, beside readers and writers.

    Parameters
    ----------
    store
        The column.
    wanted
        Indexes, of whichever column.

    Returns
    -------
    notes
        What was built.
    """
    sql = import_extra("psycopg.sql", EXTRA)
    _drop_unfinished(store)
    wanted = [index for index in wanted if index.is_search and index.is_plain]
    with one_line(store.address.secrets):
        found = indexes_of(store.connection, store.column.oid, store.column.name)
    notes = [] if wanted else ["the source has no index of pgvector's; built none"]
    for index in wanted:
        if index.shape in {each.shape for each in found if each.is_plain and each.valid}:
            continue
        options = f"WITH ({', '.join(index.options)})" if index.options else ""
        store.query(
            "CREATE INDEX CONCURRENTLY ON {t} USING {how} ({c} {ops}) {options}",
            how=sql.SQL(index.method),
            ops=sql.Identifier(*index.opclass_place),
            options=sql.SQL(options),
        )
        notes.append(f"built an index as the source's: {index.method}, {index.opclass}")
    return notes


def _drop_unfinished(store: PgvectorStore) -> None:
    """Remove what a run that was killed while it built an index has left: it is never used."""
    left = store.query(
        "SELECT n.nspname, i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid "
        "JOIN pg_namespace n ON n.oid = i.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0] "
        "WHERE x.indrelid = %s::regclass AND a.attname = %s AND NOT x.indisvalid",
        store.column.qualified,
        store.column.name,
    )
    for name in left:
        store.query("DROP INDEX CONCURRENTLY {index}", index=name)
