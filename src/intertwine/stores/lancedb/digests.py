"""Digests of the rows of Arrow tables, by which changed rows are known whatever their columns hold."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.stores.lancedb.arrow import EXTRA
from intertwine.stores.origins import Origin, digest

if TYPE_CHECKING:
    from collections.abc import Sequence

ABSENT = b"-"


def origins_of(page: Any, vector: str, others: Sequence[str]) -> list[Origin]:
    """Return digests of what rows are made of: their vector, and the other columns that are named."""
    columns = [row_bytes(page[name]) for name in others]
    rest = [digest(b"".join(row)) for row in zip(*columns, strict=True)]
    return [
        Origin(old, row)
        for old, row in zip(digests(page[vector]), rest or [""] * len(page), strict=True)
    ]


def digests(column: Any) -> list[str]:
    """Return a digest of each value."""
    return [digest(value) for value in row_bytes(column)]


def row_bytes(column: Any) -> list[bytes]:
    """Return bytes for each value of a column, the same for equal values only."""
    pa = import_extra("pyarrow", EXTRA)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        return row_bytes(column.storage)
    if pa.types.is_dictionary(kind):
        return row_bytes(column.dictionary_decode())
    there = column.is_valid().to_pylist()
    if pa.types.is_struct(kind):
        fields = [row_bytes(column.field(i)) for i in range(kind.num_fields)]
        found = [b"".join(row) for row in zip(*fields, strict=True)] or [b""] * len(column)
    elif pa.types.is_nested(kind):
        found = _list_bytes(column)
    else:
        found = _plain_bytes(column)
    # With its length before it, no value runs into the next one.
    return [
        b"%d:%b" % (len(value), value) if valid else ABSENT
        for value, valid in zip(found, there, strict=True)
    ]


def _list_bytes(column: Any) -> list[bytes]:
    """Return bytes for each list, map or fixed-size list."""
    pa = import_extra("pyarrow", EXTRA)
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        bounds = [size * (column.offset + row) for row in range(len(column) + 1)]
    else:
        bounds = column.offsets.to_pylist()
    child = column.values.slice(bounds[0], bounds[-1] - bounds[0])
    pairs = [(a - bounds[0], b - bounds[0]) for a, b in pairwise(bounds)]
    if pa.types.is_integer(child.type) or pa.types.is_floating(child.type):
        return _number_bytes(child, pairs)
    values = row_bytes(child)
    return [b"".join(values[a:b]) for a, b in pairs]


def _number_bytes(child: Any, pairs: list[tuple[int, int]]) -> list[bytes]:
    """Return the bytes of ranges of numbers, and where some are null."""
    null = child.is_null().to_numpy(zero_copy_only=False)
    numbers = child.fill_null(0).to_numpy(zero_copy_only=False) if null.any() else child.to_numpy()
    flat, width = numbers.tobytes(), numbers.itemsize
    found = [flat[width * a : width * b] for a, b in pairs]
    if null.any():
        masks = (null[a:b] for a, b in pairs)
        found = [
            value + mask.tobytes() if mask.any() else value
            for value, mask in zip(found, masks, strict=True)
        ]
    return found


def _plain_bytes(column: Any) -> list[bytes]:
    """Return bytes for each value that holds no others; times as the numbers that they are kept as."""
    pa = import_extra("pyarrow", EXTRA)
    if pa.types.is_temporal(column.type) and not pa.types.is_interval(column.type):
        number = pa.int32() if column.type.bit_width == 32 else pa.int64()
        column = column.view(number)
    return [
        value if isinstance(value, bytes) else repr(value).encode() for value in column.to_pylist()
    ]
