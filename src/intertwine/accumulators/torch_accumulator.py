"""Sums of products on torch devices: the matrix units of a processor, or one GPU or more.

Rows wait in a (D, rows) buffer until there are enough for one product; devices share the tiles of
the upper triangle.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.accumulators.device_tiles import DeviceTiles, shared_tiles
from intertwine.accumulators.halves import matrix_units
from intertwine.accumulators.row_buffer import RowBuffer
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.row_grid import BLOCK_ROWS
from intertwine.sums import check_norms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.accumulators.precisions import Products
    from intertwine.accumulators.tiles import Tile
    from intertwine.arrays import Array
    from intertwine.sums import Sums

# Products of unshifted float16 keep float32's digits of the spread only while the mean is not much
# larger: at this ratio of mean to deviation 900 roundings are lost, 5e-5 of the spread.
LARGEST_MEAN = 30.0


class TorchAccumulator:
    """Adds rows to sums with products on torch devices and sums in float64 there.

    Parameters
    ----------
    sums
        The sums to add to; complete after `collect`.
    origin
        (d,) by space.
    products
        Precision and devices.
    """

    def __init__(self, sums: Sums, origin: Mapping[str, Array], products: Products) -> None:
        self.sums, self.products = sums, products
        self.devices = products.devices()
        edges = np.cumsum([0, *(len(sums.first[name]) for name in sums.names)])
        self.columns = {a: slice(*edges[k : k + 2]) for k, a in enumerate(sums.names)}
        joint = np.concatenate([origin[name] for name in sums.names])
        self.origin = import_extra("torch", "fast").from_numpy(joint).to(self.devices[0])
        self.first = self.origin.new_zeros(len(joint))
        self.cross = self.origin.new_zeros((len(sums.names), len(joint)))
        self.n_new = 0
        self.buffer: RowBuffer | None = None
        self.shares: list[DeviceTiles] = []

    @property
    def fill(self) -> int:
        """Rows of the block in hand."""
        return 0 if self.buffer is None else self.buffer.fill - self.buffer.closed

    def write(self, rows: Mapping[str, Any]) -> None:
        """Take rows of the block in hand, NumPy arrays or tensors."""
        self._prepared(rows).write(rows)

    def close(self) -> None:
        """Add the block in hand."""
        buffer, n = self.buffer, self.fill
        if buffer is None or not n:
            return
        norms = buffer.norms()
        host = norms.cpu().numpy()
        try:
            check_norms(self.sums.names, host, self.products.precision, buffer.varies)
            if buffer.unshifted:
                self._check_means(host)
        except InputError:
            buffer.fill = buffer.closed
            raise
        for slab, z in buffer.block():
            self.first[slab] += z.sum(dim=1)
            self.cross[:, slab] += norms @ z.T
        self.sums.add_norms(n, host)
        self.n_new += n
        buffer.closed = buffer.fill
        if buffer.closed + BLOCK_ROWS > buffer.matrix.shape[1]:
            self._multiply()

    def collect(self) -> None:
        """Bring what every device added up into the sums."""
        self._multiply()
        first, cross = self.first.cpu().numpy(), self.cross.cpu().numpy()
        for share in self.shares:
            for tile, block in share.take():
                self._add_tile(tile, block, first)
        for name, columns in self.columns.items():
            self.sums.first[name] += first[columns]
            self.sums.norm_cross[name] += cross[:, columns]
        self.first.zero_()
        self.cross.zero_()
        self.n_new = 0

    def _prepared(self, rows: Mapping[str, Any]) -> RowBuffer:
        """Return the buffer, made once it is known what type the features have."""
        narrow = all(str(array.dtype).endswith("float16") for array in rows.values())
        if self.buffer is None:
            unshifted = narrow and self.products.exact_halves
            self.buffer = RowBuffer(self.origin, self.columns, self.products, unshifted=unshifted)
            halves = 0 if unshifted else self.products.halves
            self.shares = shared_tiles(
                self.sums, self.columns, self.devices, halves, in_place=not unshifted
            )
        elif self.buffer.unshifted and not narrow:
            raise InputError(
                "got float16 features first and wider ones now, expected one type for precision "
                "fast on a GPU; use float32"
            )
        return self.buffer

    def _check_means(self, norms: Array) -> None:
        """Raise where a mean is too large for products of features as they are."""
        for name, total in zip(self.sums.names, norms.sum(axis=1), strict=True):
            origin = self.origin[self.columns[name]]
            if float(origin @ origin) > LARGEST_MEAN**2 * total / norms.shape[1]:
                raise InputError(
                    f"{name}: its mean is more than {LARGEST_MEAN:g} times its spread, too much "
                    "for precision fast; use float32"
                )

    def _multiply(self) -> None:
        """Multiply the blocks that wait."""
        if self.buffer is None or not self.buffer.closed:
            return
        on_units = self.products.precision == "fast" and not self.buffer.unshifted
        with matrix_units() if on_units else nullcontext():
            rows = self.buffer.take()
            for share in self.shares:
                share.add(rows)

    def _add_tile(self, tile: Tile, block: Array, first: Array) -> None:
        """Add a tile's products to the sums, taken about the origin where they were not."""
        a, i, b, j = tile
        if self.buffer is not None and self.buffer.unshifted:
            c = self.origin.cpu().numpy()
            c_a, c_b = c[self.columns[a]][i], c[self.columns[b]][j]
            z_a, z_b = first[self.columns[a]][i], first[self.columns[b]][j]
            # Σ(x − c)(x − c)ᵀ = Σxxᵀ − c(Σz)ᵀ − (Σz)cᵀ − n·ccᵀ with z = x − c.
            block = block - np.outer(c_a, z_b + self.n_new * c_b) - np.outer(z_a, c_b)
        self.sums.second[a, b][i, j] += block
