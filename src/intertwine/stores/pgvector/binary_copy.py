"""Ids and vectors in PostgreSQL's binary COPY, both ways.

Where ids are integers every row has the same number of bytes, and a batch is one array, with no
work for each row. Other ids go through psycopg, row by row.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.stores.pgvector.wire import (
    checked_numbers,
    pack,
    to_array,
    to_sent,
    vector_type,
    wrong_length,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intertwine.numerics.arrays import Array
    from intertwine.stores.pgvector.column import Column

INTEGERS = {"smallint": ">i2", "integer": ">i4", "bigint": ">i8"}
# What a stream begins with: a signature, flags, the length of an extension; and how it ends.
BEGIN = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
END = b"\xff\xff"
# Bytes of what stands beside a vector that a migration writes.
STAMP = 16


def row_type(column: Column, dim: int) -> np.dtype[Any] | None:
    """Return the type of a row of (id, vector) as it is sent; None where rows differ in length."""
    sent = column.key.sent
    if len(sent) > 1 or sent[0] not in INTEGERS:
        return None
    parts = [("fields", ">i2"), ("id_size", ">i4"), ("id", INTEGERS[sent[0]])]
    return np.dtype([*parts, ("size", ">i4"), ("vector", vector_type(column.kind, dim))])


def received(copy: Any, column: Column, size: int) -> Iterator[tuple[list[Any], Array]]:
    """Yield rows of (id, vector) that a COPY TO sends, none of them NULL, `size` at a time."""
    kind = row_type(column, column.dim)
    if kind is None:
        copy.set_types(column.sent_types)
        rows = copy.rows()
        while some := list(islice(rows, size)):
            ids = [column.key.item(row) for row in some]
            yield ids, to_array([row[-1] for row in some], column.kind, column.dim, ids)
        return
    held, ready, whole = bytearray(), len(BEGIN), size * kind.itemsize
    for data in copy:
        held += data
        if len(held) >= ready + whole:
            # What came is read in place, not copied; so the rest goes to another buffer.
            came, held = memoryview(held), held[ready + whole :]
            yield _rows(came[ready : ready + whole], kind, column)
            ready = 0
    rest = memoryview(held)[ready : len(held) - len(END)]
    if rest:
        yield _rows(rest, kind, column)


def _rows(data: memoryview, kind: np.dtype[Any], column: Column) -> tuple[list[Any], Array]:
    rows = np.frombuffer(data, kind, len(data) // kind.itemsize)
    expected = kind["vector"].itemsize
    if len(data) % kind.itemsize or (rows["size"] != expected).any() or (rows["fields"] != 2).any():
        place = int(np.flatnonzero([*(rows["size"] != expected), True])[0])
        item = rows["id"][place] if place < len(rows) else "?"
        raise wrong_length(item, column.dim, column.kind)
    ids = rows["id"].tolist()
    return ids, checked_numbers(rows["vector"], column.kind, ids)


def send(
    copy: Any, column: Column, ids: list[Any], vectors: Array, stamps: list[bytes | None]
) -> None:
    """Send rows of (id, vector, stamp) to a COPY FROM; a row of NaN as NULL, which has no stamp."""
    kind = row_type(column, vectors.shape[1])
    if kind is None or None in stamps:
        copy.set_types([*column.sent_types, "bytea"])
        sent = to_sent(vectors, column.kind)
        for item, vector, stamp in zip(ids, sent, stamps, strict=True):
            copy.write_row([*column.key.values(item), vector, stamp])
        return
    kind = np.dtype([*kind.descr, ("stamp_size", ">i4"), ("stamp", f"V{STAMP}")])
    stream = np.empty(len(BEGIN) + len(ids) * kind.itemsize + len(END), np.uint8)
    parts = np.split(stream, [len(BEGIN), len(stream) - len(END)])
    parts[0][:], parts[2][:] = (np.frombuffer(ends, np.uint8) for ends in (BEGIN, END))
    rows = parts[1].view(kind)
    rows["fields"], rows["id_size"], rows["id"] = 3, kind["id"].itemsize, ids
    rows["size"], rows["stamp_size"] = kind["vector"].itemsize, STAMP
    rows["stamp"] = np.frombuffer(b"".join(stamp or b"" for stamp in stamps), f"V{STAMP}")
    pack(rows["vector"], vectors, column.kind)
    copy.write(stream.data)
