"""A LanceDB folder, its tables, and how their conditions and ids are written."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.extras import import_extra
from intertwine.stores.lancedb.arrow import EXTRA, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.numerics.arrays import Array

# Rows of a page where only lengths or ids are looked at.
PAGE = 8192
# What LanceDB may keep in memory; its own limits are gigabytes.
INDEX_CACHE = 256 << 20
METADATA_CACHE = 64 << 20
# Ids looked at together when twins are sought.
IDS_AT_ONCE = 4_000_000


def connect(place: str) -> Any:
    """Return an open database whose handles see what others write, of bounded memory."""
    lancedb = import_extra("lancedb", EXTRA)
    with one_line():
        session = lancedb.Session(
            index_cache_size_bytes=INDEX_CACHE, metadata_cache_size_bytes=METADATA_CACHE
        )
        return lancedb.connect(place, read_consistency_interval=timedelta(0), session=session)


def tables_of(database: Any) -> list[str]:
    """Return the names of a database's tables."""
    names, token = [], None
    while True:
        with one_line():
            page = database.list_tables(page_token=token)
        names += page.tables
        token = page.page_token
        if not token:
            return names


def quoted(name: str) -> str:
    """Return a column's name as LanceDB's conditions write it."""
    return f"`{name.replace('`', '``')}`"


def literal(value: int | str) -> str:
    """Return a value as LanceDB's conditions write it."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def id_numbers(ids: Sequence[Any]) -> Array:
    """Return an integer of 8 bytes for each id: itself, or a hash of a text."""
    if ids and isinstance(ids[0], int):
        return np.array([item & (2**64 - 1) for item in ids], np.uint64).astype(np.int64)
    return np.fromiter(map(hash, ids), np.int64, len(ids))


def id_rounds(pinned: Any) -> int:
    """Return in how many rounds the ids of a table are looked at, `IDS_AT_ONCE` in memory at most."""
    with one_line():
        return max(1, -(-int(pinned.count_rows()) // IDS_AT_ONCE))
