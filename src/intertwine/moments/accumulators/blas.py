"""Sums of products by NumPy's BLAS, tile by tile, one thread a tile.

Tiles with one BLAS thread each use the cores better than one product with many, and make the sums
independent of how many cores there are.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.accumulators.sums import check_norms
from intertwine.moments.accumulators.tiles import tiles
from intertwine.numerics.arrays import widen
from intertwine.parallel.threads import one_by_one, parallel_map
from intertwine.storage.row_ranges import cut_on_grid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from intertwine.moments.accumulators.sums import Sums
    from intertwine.moments.accumulators.tiles import Tile
    from intertwine.numerics.arrays import Array

# Widest tile: wide enough for BLAS to reach its speed, small enough for threads to end together.
TILE = 2048
# On the diagonal BLAS works out half of a tile, at two thirds of its speed.
DIAGONAL = 512
# Rows centred at a time, so that each step finds them in the cache; slabs end on the block's grid.
SLAB_ROWS = 64
# A block of fewer multiplications is done before threads have started.
SERIAL_PRODUCTS = 1 << 26


class BlasAccumulator:
    """Adds rows to sums with products in `float64` or `float32`, and sums in float64.

    The sums are always complete; the origin is (d,) by space.
    """

    def __init__(self, sums: Sums, origin: Mapping[str, Array], precision: str) -> None:
        self.sums, self.fill = sums, 0
        self.origin = {name: origin[name].astype(np.float64) for name in sums.names}
        with np.errstate(over="ignore"):  # `check_norms` refuses what overflows
            self.narrow = {name: origin[name].astype(np.float32) for name in sums.names}
        self.dtype = np.dtype(precision)
        self.dims = [len(origin[name]) for name in sums.names]
        self.tiles = tiles(sums, TILE, DIAGONAL)
        # The pending block, q of its rows, and Σz and Σ q z of its whole slabs.
        self._block = {
            name: np.empty((0, dim), self.dtype)
            for name, dim in zip(sums.names, self.dims, strict=True)
        }
        self._norms = np.empty((len(self.dims), 0))
        self._first = np.zeros((len(self.dims) + 1, sum(self.dims)))
        # Spaces of float64 rows that differ and are 0 as float32.
        self._vanished: set[str] = set()
        self._thread, self._none = threading.local(), np.empty(0, self.dtype)

    def write(self, rows: Mapping[str, Array]) -> None:
        """Centre rows of the pending block, and sum up every slab that they complete."""
        start, n = self.fill, len(next(iter(rows.values())))
        self._make_room(start + n)
        slabs = [slice(*ends) for ends in cut_on_grid(start, start + n, SLAB_ROWS)]
        with np.errstate(invalid="ignore"):  # what overflows, `check_norms` refuses
            for first in self._each(n)(lambda slab: self._prepare(rows, slab, start), slabs):
                if first is not None:
                    self._first += first
        self.fill += n

    def close(self) -> None:
        """Add the pending block."""
        n, self.fill = self.fill, 0
        if n % SLAB_ROWS:
            with np.errstate(invalid="ignore"):
                self._first += self._weigh(slice(n - n % SLAB_ROWS, n))
        norms, total = self._norms[:, :n], self._first
        self._first = np.zeros_like(total)
        block = {name: array[:n] for name, array in self._block.items()}
        vanished, self._vanished = self._vanished, set()
        check_norms(
            self.sums.names,
            norms,
            self.dtype.name,
            lambda name: name in vanished or bool(np.ptp(block[name], axis=0).any()),
        )
        self.sums.add_norms(n, norms)
        # A block's sum first, so that blocks add up to the same bits wherever they were computed.
        split = np.hsplit(total, np.cumsum(self.dims)[:-1])
        for name, part in zip(self.sums.names, split, strict=True):
            self.sums.first[name] += part[0]
            self.sums.norm_cross[name] += part[1:]
        self._each(n)(lambda tile: self._add_tile(block, tile), self.tiles)

    def collect(self) -> None:
        """Do nothing: the sums are complete."""

    def _each(self, n: int) -> Callable[..., list[Any]]:
        """Return the map for pieces of work on n rows: on threads, unless it is done sooner."""
        return one_by_one if n * sum(self.dims) ** 2 < SERIAL_PRODUCTS else parallel_map

    def _make_room(self, n: int) -> None:
        """Allocate, or reuse, a buffer of at least n rows."""
        if self._norms.shape[1] >= n:
            return
        old, n = (self._norms, self._block), max(n, BLOCK_ROWS)
        self._norms = np.empty((len(self.dims), n))
        self._norms[:, : self.fill] = old[0][:, : self.fill]
        self._block = {name: np.empty((n, z.shape[1]), self.dtype) for name, z in old[1].items()}
        for name, block in self._block.items():
            block[: self.fill] = old[1][name][: self.fill]

    def _prepare(self, rows: Mapping[str, Array], slab: slice, start: int) -> Array | None:
        """Centre rows of part of a slab; return its sums when they complete it."""
        part = slice(slab.start - start, slab.stop - start)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows, `check_norms` refuses
            for name, block in self._block.items():
                self._centre(rows[name][part], block[slab], name)
        if slab.stop % SLAB_ROWS:
            return None
        return self._weigh(slice(slab.stop - SLAB_ROWS, slab.stop))

    def _centre(self, features: Array, out: Array, name: str) -> None:
        """Write rows − origin, subtracted in the wider of the two types."""
        if out.dtype == features.dtype == np.float32:
            np.subtract(features, self.narrow[name], out=out)
        elif out.dtype == np.float32 and features.dtype == np.float16:
            widen(features, out)
            out -= self.narrow[name]
        else:
            np.subtract(features, self.origin[name], out=out, casting="same_kind")
            if out.dtype == np.float32 and not out.any() and np.ptp(features, axis=0).any():
                self._vanished.add(name)

    def _weigh(self, slab: slice) -> Array:
        """Store q of a slab's rows; return their Σz and Σ q z, (n_spaces + 1, D) float64."""
        rows = [array[slab] for array in self._block.values()]
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.stack([np.vecdot(z, z) for z in rows])
            self._norms[:, slab] = norms
            # To at most 1 by a power of two: q z of large features is beyond float32.
            powers = np.frexp(norms.max(axis=1, keepdims=True))[1]
            weights = np.vstack([np.ones_like(norms[:1]), np.ldexp(norms, -powers)])
            first: Array = np.hstack([weights @ z for z in rows]).astype(np.float64)
            first[1:] = np.ldexp(first[1:], powers)
        return first

    def _add_tile(self, block: Mapping[str, Array], tile: Tile) -> None:
        a, i, b, j = tile
        left = block[a][:, i]
        # The very same array twice: BLAS then computes half of the product.
        right = left if (a, i) == (b, j) else block[b][:, j]
        total = self.sums.second[a, b][i, j]
        product = self._room(total.shape)
        np.matmul(left.T, right, out=product)
        total += product

    def _room(self, shape: tuple[int, ...]) -> Array:
        """Return a buffer for a product, the same for all tiles: allocation costs time."""
        size = shape[0] * shape[1]
        if getattr(self._thread, "room", self._none).size < size:
            self._thread.room = np.empty(size, self.dtype)
        room: Array = self._thread.room[:size].reshape(shape)
        return room
