"""Sums of products by NumPy's BLAS, tile by tile, one thread a tile.

Tiles with one BLAS thread each use the cores better than one product with many, and make the sums
independent of how many cores there are.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from intertwine.accumulators.tiles import cut, tiles
from intertwine.row_grid import BLOCK_ROWS
from intertwine.sums import check_norms
from intertwine.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from intertwine.accumulators.tiles import Tile
    from intertwine.arrays import Array
    from intertwine.sums import Sums

# Widest tile: wide enough for BLAS to reach its speed, small enough for threads to end together.
TILE = 1536
# On the diagonal BLAS works out half of a tile, at two thirds of its speed.
DIAGONAL = 512
# Rows made ready at a time, for the same reason.
SLAB_ROWS = 64
# A block of fewer multiplications is done before threads have started.
SERIAL_PRODUCTS = 1 << 26


class BlasAccumulator:
    """Adds rows to sums with products in float64 or float32 and sums in float64.

    Parameters
    ----------
    sums
        The sums to add to; always complete.
    origin
        (d,) by space.
    precision
        `float64` or `float32`.
    """

    def __init__(self, sums: Sums, origin: Mapping[str, Array], precision: str) -> None:
        self.sums, self.fill = sums, 0
        self.origin = {name: origin[name].astype(np.float64) for name in sums.names}
        with np.errstate(over="ignore"):  # `check_norms` refuses what overflows
            self.narrow = {name: origin[name].astype(np.float32) for name in sums.names}
        self.dtype = np.dtype(precision)
        self.dims = [len(origin[name]) for name in sums.names]
        self.tiles = tiles(sums, TILE, DIAGONAL)
        self._block: dict[str, Array] = {}
        self._thread, self._none = threading.local(), np.empty(0, self.dtype)

    def write(self, rows: Mapping[str, Array]) -> None:
        """Centre rows of the block in hand."""
        n = len(next(iter(rows.values())))
        self._make_room(self.fill + n)
        slabs = cut(n, SLAB_ROWS)
        list(self._each(n)(lambda slab: self._centre(rows, slab), slabs))
        self.fill += n

    def close(self) -> None:
        """Add the block in hand."""
        n, self.fill = self.fill, 0
        each = self._each(n)
        block = {name: array[:n] for name, array in self._block.items()}
        parts = list(each(lambda slab: _weighted(block, slab), cut(n, SLAB_ROWS)))
        norms = np.hstack([np.empty((len(self.dims), 0)), *(norms for norms, _ in parts)])
        check_norms(self.sums.names, norms, self.dtype.name)
        self.sums.add_norms(n, norms)
        # A block's sum first, so that blocks add up to the same bits wherever they were taken.
        total = sum((part for _, part in parts), np.zeros((len(self.dims) + 1, sum(self.dims))))
        split = np.hsplit(total, np.cumsum(self.dims)[:-1])
        for name, part in zip(self.sums.names, split, strict=True):
            self.sums.first[name] += part[0]
            self.sums.norm_cross[name] += part[1:]
        list(each(lambda tile: self._add_tile(block, tile), self.tiles))

    def collect(self) -> None:
        """Do nothing: the sums are complete."""

    def _each(self, n: int) -> Callable[..., Iterable[Any]]:
        """Return what goes through pieces of work on n rows: threads, unless it is over sooner."""
        return map if n * sum(self.dims) ** 2 < SERIAL_PRODUCTS else side_by_side

    def _make_room(self, n: int) -> None:
        """Have a block of n rows or more; the same from block to block."""
        for name, dim in zip(self.sums.names, self.dims, strict=True):
            old = self._block.get(name)
            if old is None or len(old) < n:
                self._block[name] = np.empty((max(n, BLOCK_ROWS), dim), self.dtype)
                if old is not None:
                    self._block[name][: self.fill] = old[: self.fill]

    def _centre(self, rows: Mapping[str, Array], slab: slice) -> None:
        """Write rows − origin into the block, subtracted in the wider of the two types.

        What overflows here is for `check_norms` to refuse.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            for name, block in self._block.items():
                features = rows[name][slab]
                out = block[self.fill + slab.start : self.fill + slab.stop]
                if out.dtype == features.dtype == np.float32:
                    np.subtract(features, self.narrow[name], out=out)
                elif out.dtype == np.float32 and features.dtype == np.float16:
                    out[...] = features  # first: NumPy converts slowly while it subtracts
                    out -= self.narrow[name]
                else:
                    np.subtract(features, self.origin[name], out=out, casting="same_kind")

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
        """Return room for a product, the same from tile to tile: new memory costs time to get."""
        size = shape[0] * shape[1]
        if getattr(self._thread, "room", self._none).size < size:
            self._thread.room = np.empty(size, self.dtype)
        room: Array = self._thread.room[:size].reshape(shape)
        return room


def _weighted(block: Mapping[str, Array], slab: slice) -> tuple[Array, Array]:
    """Return q of some rows, (n_spaces, rows), and their Σz and Σ q z, (n_spaces + 1, D)."""
    with np.errstate(over="ignore", invalid="ignore"):
        wide = [array[slab].astype(np.float64, copy=False) for array in block.values()]
        norms = np.stack([np.vecdot(z, z) for z in wide])
        weights = np.vstack([np.ones_like(norms[:1]), norms])
        return norms, np.hstack([weights @ z for z in wide])
