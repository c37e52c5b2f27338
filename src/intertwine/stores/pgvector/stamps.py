"""A note beside each converted vector of what it was made of, by which a later change is known.

Beside a new column is another, of 16 bytes a row: half of a hash of the old vector as it was read,
half of one of the new vector as it was written. Where there is none, somebody else wrote the
vector; where the second half no longer fits, somebody else has replaced it; where only the first no
longer fits, the old vector has changed and is converted again. A rollback stamps what somebody else
wrote too, with the other half of the new vector's hash: an old vector that changes after that is of
newer content than such a vector.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.stores.pgvector.catalog import fitting
from intertwine.stores.pgvector.wire import EXTRA, to_sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.numerics.arrays import Array

HALF = 8
ENDING = "_intertwine"
SIGNATURE = "intertwine: "


def stamp_name(column: str) -> str:
    """Return the name of the column of stamps beside a new column."""
    return fitting(column, ENDING)


def stamp_note(column: str) -> str:
    """Return the comment of a column of stamps."""
    return f"{SIGNATURE}what the vectors of {column} were converted from; remove both together"


def stamps(old: Array, new: Array, kinds: tuple[str, str]) -> list[bytes | None]:
    """Return stamps of old and new vectors, (n, d) each, of two types; None for a row of NaN."""
    read, sent = (to_sent(rows, kind) for rows, kind in zip((old, new), kinds, strict=True))
    return [
        None if before is None or after is None else _half(before) + _half(after)
        for before, after in zip(read, sent, strict=True)
    ]


def _half(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:HALF]


def conditions(columns: Sequence[Any], sends: Sequence[str]) -> dict[str, Any]:
    """Return conditions of a row as SQL, by the names that statements use.

    The columns are those of old vectors, new ones and stamps; `sends` the functions that write the
    two types of vectors in binary. `changed`: the old vector is another than the stamp says.
    `ours`: a migration wrote the new vector. `known`: or it is as it was at a rollback. `replaced`:
    somebody has replaced what a migration wrote. `seen`: the stamp that a rollback sets. `first`,
    `now`: the stamp's half for the old vector, and the one that the new vector has now.
    """
    sql = import_extra("psycopg.sql", EXTRA)
    old, new, stamp = columns
    before, now, other = (
        sql.SQL(f"substr(sha256({send}({{}})), {start}, {HALF})").format(column)
        for send, column, start in (
            (sends[0], old, 1),
            (sends[1], new, 1),
            (sends[1], new, 1 + HALF),
        )
    )
    first, second = (
        sql.SQL(f"substr({{}}, {start}, {HALF})").format(stamp) for start in (1, 1 + HALF)
    )
    pieces = {"before": before, "now": now, "other": other, "s": stamp}
    pieces |= {"first": first, "second": second}
    return {
        "first": first,
        "now": now,
        "changed": sql.SQL("({s} IS NOT NULL AND {first} <> {before})").format(**pieces),
        "ours": sql.SQL("({s} IS NOT NULL AND {second} = {now})").format(**pieces),
        "known": sql.SQL("({s} IS NOT NULL AND {second} IN ({now}, {other}))").format(**pieces),
        "seen": sql.SQL("{before} || {other}").format(**pieces),
        "replaced": sql.SQL("({s} IS NOT NULL AND {second} <> {now})").format(**pieces),
    }
