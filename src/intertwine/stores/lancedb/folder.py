"""A LanceDB folder, how its conditions are written, and what may be a source and a target."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.lancedb.arrow import EXTRA, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.lancedb.store import LanceStore

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
    """Return a column's name as LanceDB's conditions have it."""
    return f"`{name.replace('`', '``')}`"


def literal(value: int | str) -> str:
    """Return a value as LanceDB's conditions have it."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def where_ids(store: LanceStore, ids: Sequence[Any]) -> str:
    """Return the condition that a row has one of some ids."""
    kind = int if store.columns.ids_are_numbers else str
    return f"{quoted(store.columns.id)} IN ({', '.join(literal(kind(item)) for item in ids)})"


def id_numbers(ids: Sequence[Any]) -> Array:
    """Return an integer of 8 bytes for each id: itself, or a hash of a text."""
    if ids and isinstance(ids[0], int):
        return np.array([item & (2**64 - 1) for item in ids], np.uint64).astype(np.int64)
    return np.fromiter(map(hash, ids), np.int64, len(ids))


def id_rounds(pinned: Any) -> int:
    """Return in how many rounds the ids of a table are looked at, `IDS_AT_ONCE` in memory at most."""
    with one_line():
        return max(1, -(-int(pinned.count_rows()) // IDS_AT_ONCE))


def sorted_ids(store: LanceStore, pinned: Any, turn: int, rounds: int) -> Array:
    """Return the numbers of a table's ids, sorted, those of one round.

    Raises
    ------
    InputError
        Where an id is null.
    """
    name, kept = store.columns.id, [np.empty(0, np.int64)]
    for page in store.pages([name], PAGE, 0, pinned):
        if page[name].null_count:
            raise InputError(f"{store.name}: id {name!r} is null in some rows, expected none")
        numbers = id_numbers(page[name].to_pylist())
        kept.append(numbers[numbers % rounds == turn])
    return np.sort(np.concatenate(kept))


def absent(
    store: LanceStore, ids_of: Callable[[], Iterator[list[Any]]], pinned: Any
) -> Iterator[list[Any]]:
    """Yield those of some ids that a version of a table does not have."""
    rounds = id_rounds(pinned)
    for turn in range(rounds):
        there = sorted_ids(store, pinned, turn, rounds)
        for ids in ids_of():
            numbers = id_numbers(ids)
            lost = (numbers % rounds == turn) & ~np.isin(numbers, there)
            if lost.any():
                yield [item for item, is_lost in zip(ids, lost, strict=True) if is_lost]


def pages_of_ids(store: LanceStore, pinned: Any) -> Iterator[list[Any]]:
    """Yield the ids of a version of a table."""
    for page in store.pages([store.columns.id], PAGE, 0, pinned):
        yield page[store.columns.id].to_pylist()
