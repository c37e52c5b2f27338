"""Sums of products by NumPy's BLAS, tile by tile, one thread a tile.

Tiles with one BLAS thread each use the cores better than one product with many, and make the sums
independent of how many cores there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.accumulators.tiles import cut, tiles
from intertwine.sums import check_norms
from intertwine.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.accumulators.tiles import Tile
    from intertwine.arrays import Array
    from intertwine.sums import Sums

# Widest tile: wide enough for BLAS to reach its speed, small enough to wait in the cache.
TILE = 1536
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
        self.sums = sums
        self.origin = {name: origin[name].astype(np.float64) for name in sums.names}
        self.narrow = {name: origin[name].astype(np.float32) for name in sums.names}
        self.dtype = np.dtype(precision)
        self.tiles = tiles(sums, TILE)
        self._buffers: dict[str, Array] = {}

    def add(self, rows: Mapping[str, Array]) -> None:
        """Add a block of rows."""
        n = len(next(iter(rows.values())))
        dims = [rows[name].shape[1] for name in self.sums.names]
        each = map if n * sum(dims) ** 2 < SERIAL_PRODUCTS else side_by_side
        block = self._block(rows, n)
        slabs = cut(n, SLAB_ROWS)
        ready = list(each(lambda slab: self._make_ready(rows, block, slab), slabs))
        norms = np.hstack([np.empty((len(dims), 0)), *(norms for norms, _ in ready)])
        check_norms(self.sums.names, norms, self.dtype.name)
        self.sums.add_norms(n, norms)
        # A block's sum first, so that blocks add up to the same bits wherever they were taken.
        weighted = sum((part for _, part in ready), np.zeros((len(dims) + 1, sum(dims))))
        for name, part in zip(self.sums.names, _split(weighted, dims), strict=True):
            self.sums.first[name] += part[0]
            self.sums.norm_cross[name] += part[1:]
        list(each(lambda tile: self._add_tile(block, tile), self.tiles))

    def collect(self) -> None:
        """Do nothing: the sums are complete."""

    def _block(self, rows: Mapping[str, Array], n: int) -> dict[str, Array]:
        """Return room for centred rows; the same from block to block."""
        for name, array in rows.items():
            kept = self._buffers.get(name)
            if kept is None or len(kept) < n:
                self._buffers[name] = np.empty((n, array.shape[1]), self.dtype)
        return {name: self._buffers[name][:n] for name in self.sums.names}

    def _make_ready(
        self, rows: Mapping[str, Array], block: Mapping[str, Array], slab: slice
    ) -> tuple[Array, Array]:
        """Centre some rows; return their q, (n_spaces, rows), and Σz and Σ q z, (n_spaces + 1, D).

        What overflows here is for `check_norms` to refuse.
        """
        wide = []
        with np.errstate(over="ignore", invalid="ignore"):
            for name, array in block.items():
                self._centre(rows[name][slab], name, out=array[slab])
                wide.append(array[slab].astype(np.float64, copy=False))
            norms = np.stack([np.vecdot(z, z) for z in wide])
            weights = np.vstack([np.ones_like(norms[:1]), norms])
            return norms, np.hstack([weights @ z for z in wide])

    def _centre(self, rows: Array, name: str, *, out: Array) -> None:
        """Write rows − origin, subtracted in the wider of the two types."""
        if out.dtype == rows.dtype == np.float32:
            np.subtract(rows, self.narrow[name], out=out)
        elif out.dtype == np.float32 and rows.dtype == np.float16:
            out[...] = rows  # first: NumPy converts slowly while it subtracts
            out -= self.narrow[name]
        else:
            np.subtract(rows, self.origin[name], out=out, casting="same_kind")

    def _add_tile(self, block: Mapping[str, Array], tile: Tile) -> None:
        a, i, b, j = tile
        left = block[a][:, i]
        # The very same array twice: BLAS then computes half of the product.
        right = left if (a, i) == (b, j) else block[b][:, j]
        total = self.sums.second[a, b][i, j]
        total += left.T @ right


def _split(array: Array, dims: list[int]) -> list[Array]:
    return np.hsplit(array, np.cumsum(dims)[:-1])
