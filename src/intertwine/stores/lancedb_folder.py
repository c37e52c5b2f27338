"""A LanceDB folder, how its conditions are written, and what may be a source and a target."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.lancedb_arrow import EXTRA, one_line
from intertwine.stores.store import common_metric

if TYPE_CHECKING:
    from intertwine.stores.address import Address
    from intertwine.stores.lancedb import LanceStore

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


def require_distinct(store: LanceStore) -> None:
    """Raise when an id stands twice, or is missing, in a table.

    Of each id a hash of 8 bytes is kept, of at most `IDS_AT_ONCE` ids at a time.

    Raises
    ------
    InputError
        Naming one.
    """
    name, pinned = store.columns.id, store.pinned()
    with one_line():
        rounds = -(-pinned.count_rows() // IDS_AT_ONCE)
    for turn in range(rounds):
        kept = [np.empty(0, np.int64)]
        for page in store.pages([name], PAGE, 0, pinned):
            if page[name].null_count:
                raise InputError(f"{store.name}: id {name!r} is null in some rows, expected none")
            hashes = np.fromiter(map(hash, page[name].to_pylist()), np.int64, len(page))
            kept.append(hashes[hashes % rounds == turn])
        hashes = np.sort(np.concatenate(kept))
        suspects = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])[:100].tolist()
        if suspects:
            found = Counter(
                item
                for page in store.pages([name], PAGE, 0, pinned)
                for item in page[name].to_pylist()
                if hash(item) in suspects
            )
            item, times = found.most_common(1)[0]
            if times > 1:
                raise InputError(
                    f"{store.name}: id {item!r} stands in {times} rows, expected a column that tells "
                    "rows apart; name it: id=COLUMN"
                )


def target_address(source: LanceStore, text: str) -> Address:
    """Return the address of a table beside a source.

    Raises
    ------
    InputError
        For another kind of store, another folder, other columns or metric, and the source itself.
    """
    address = source.address.beside(text)
    address.only("vector", "id", "metric")
    if address.place.rstrip("/") != source.address.place.rstrip("/") or not address.part:
        raise InputError(
            f"got target {address.shown}, expected another table in the source's own folder: "
            f"{source.address.scheme}:{source.address.place}#TABLE"
        )
    if address.part == source.address.part:
        raise InputError(f"{source.name} is the source itself; name another table")
    for name, own in (("vector", source.columns.vector), ("id", source.columns.id)):
        if address.options.get(name, own) != own:
            raise InputError(f"{address.shown}: got {name}={address.options[name]}, expected {own}")
    metric = common_metric(address.options.get("metric"), source.metric, address.shown)
    options = {**source.address.options, **({"metric": metric} if metric else {})}
    return replace(address, options=options)
