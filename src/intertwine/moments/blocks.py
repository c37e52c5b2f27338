"""The block of rows that is being filled, its origin, and the ranges of rows that are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.moments.accumulators import Accumulator, Products, open_accumulator
from intertwine.moments.accumulators.grid import pieces
from intertwine.moments.accumulators.tiles import cut
from intertwine.numerics.arrays import to_numpy, widened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.moments.accumulators.sums import Sums
    from intertwine.numerics.arrays import Array

# Rows summed at a time: few enough for float32 to sum them accurately.
SLAB_ROWS = 64
# (key of a feature set, first row, row after the last)
RowRange = tuple[str, int, int]


class PendingBlock:
    """Collects rows in any chunks, and adds them to sums block by block of the absolute grid.

    The origin, (d,) by space, is the mean of the first block when None; `next_row` is the number of
    the next row on the grid.
    """

    def __init__(self, origin: dict[str, Array] | None, next_row: int) -> None:
        self.origin, self.next_row = origin, next_row
        # Copies of rows that wait for an origin, which is their mean.
        self._early: list[dict[str, Any]] = []
        self._accumulator: Accumulator | None = None

    @property
    def is_open(self) -> bool:
        """Whether an accumulator is open, so that this machine is known to have what it takes."""
        return self._accumulator is not None

    @property
    def n(self) -> int:
        """Rows of the block so far."""
        early = sum(len(next(iter(piece.values()))) for piece in self._early)
        return early + (self._accumulator.fill if self._accumulator is not None else 0)

    def add(self, features: Mapping[str, Any], sums: Sums, products: Products) -> None:
        """Add rows, (n, d) by space; every block that they complete is added to the sums.

        InputError when the products of a block would overflow; the block is then dropped.
        """
        for piece, completes in pieces(features, self.next_row):
            self._write(piece, sums, products)
            if completes:
                self._close(sums, products)

    def flush(self, sums: Sums, products: Products) -> None:
        """End the block here, though the grid goes on, and add every row so far to the sums.

        The accumulator and its buffers are freed; the next rows open another.
        """
        self._close(sums, products)
        if self._accumulator is not None:
            self._accumulator.collect()
            self._accumulator = None

    def _write(self, piece: Mapping[str, Any], sums: Sums, products: Products) -> None:
        self.next_row += len(next(iter(piece.values())))
        if self.origin is None:
            # Rows that wait must not change when the caller reuses its buffer.
            self._early.append({name: to_numpy(array).copy() for name, array in piece.items()})
            return
        if self._accumulator is None:
            self._accumulator = open_accumulator(sums, self.origin, products)
        self._accumulator.write(piece)

    def _close(self, sums: Sums, products: Products) -> None:
        if self._early:
            self.next_row -= self.n
            early, self._early = self._early, []
            with np.errstate(over="ignore", invalid="ignore"):  # refused when the block is added
                self.origin = {a: origin_of([part[a] for part in early]) for a in early[0]}
            for piece in early:
                self._write(piece, sums, products)
        if self._accumulator is not None:
            self._accumulator.close()


def origin_of(parts: Sequence[Array]) -> Array:
    """Return about the mean of (n, d) arrays, rounded to float32 so that differences are exact.

    It is not finite where features are not, or where their sum is beyond their type.
    """
    first = parts[0][0].astype(np.float64)
    n_rows, wide = sum(map(len, parts)), widened(parts[0][0])
    total = np.zeros_like(first)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in (part[slab] for part in parts for slab in cut(len(part), SLAB_ROWS)):
            # Differences from a row: the mean of a constant feature is that constant exactly.
            total += (widened(rows) - wide).sum(axis=0)
        if not np.isfinite(total).all():  # beyond float32
            total = np.sum([(part - first).sum(axis=0) for part in parts], axis=0)
        mean = first + total / n_rows
        rounded = mean.astype(np.float32).astype(np.float64)
    return np.asarray(np.where(np.isfinite(rounded), rounded, mean))


def joined(first: list[RowRange], other: list[RowRange]) -> list[RowRange]:
    """Return the rows of both in order, adjoining ranges as one; InputError for a row in both."""
    ranges: list[RowRange] = []
    for key, start, stop in sorted([*first, *other]):
        last_key, last_start, last_stop = ranges[-1] if ranges else ("", 0, 0)
        if key == last_key and start < last_stop:
            raise InputError(
                f"rows {start}:{min(stop, last_stop)} of one feature set are in both moments, "
                "expected each row once; leave one of them out"
            )
        if key == last_key and start == last_stop:
            ranges[-1] = (key, last_start, stop)
        else:
            ranges.append((key, start, stop))
    return ranges
