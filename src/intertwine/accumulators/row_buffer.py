"""Rows that wait on a torch device for the next product, as one (D, rows) matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.accumulators.halves import rounded
from intertwine.accumulators.tiles import cut
from intertwine.extras import import_extra
from intertwine.row_grid import BLOCK_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from intertwine.accumulators.precisions import Products

# Blocks a product: a GPU's float32 accumulators are flushed to float64 less often, since each flush
# costs it as much as many rows.
FLUSH_BLOCKS = {"cpu": 1, "cuda": 4}
# Features taken at a time, so that each step finds them in the cache.
SLAB = {"cpu": 128, "cuda": 4096}
# Rows transposed at a time, for the same reason.
TRANSPOSED_ROWS = 256


class RowBuffer:
    """A buffer of rows, and what is needed of them besides their products.

    Parameters
    ----------
    origin
        (D,) float64 tensor on the device.
    columns
        Columns of the joint matrix by space.
    products
        Precision of the products.
    unshifted
        Whether rows stay float16 as they are, rather than become differences from the origin.
    """

    def __init__(
        self, origin: Any, columns: Mapping[str, slice], products: Products, *, unshifted: bool
    ) -> None:
        torch = import_extra("torch", "fast")
        self.torch, self.origin, self.columns = torch, origin, columns
        self.unshifted = unshifted
        self.halves = 0 if unshifted else products.halves
        wide = torch.float64 if products.precision == "float64" else torch.float32
        self.kind = str(origin.device.type)
        self.matrix = origin.new_empty(
            (len(origin), FLUSH_BLOCKS[self.kind] * BLOCK_ROWS),
            dtype=torch.float16 if unshifted else wide,
        )
        # Rows of closed blocks that wait for the next product, and all rows.
        self.closed = self.fill = 0

    def write(self, rows: Mapping[str, Any]) -> None:
        """Write rows of the block in hand behind those that wait."""
        n = len(next(iter(rows.values())))
        for name, columns in self.columns.items():
            features = self._tensor(rows[name])
            for own in cut(features.shape[1], SLAB[self.kind]):
                slab = slice(columns.start + own.start, columns.start + own.stop)
                self._write_slab(features[:, own], slab, n)
        self.fill += n

    def block(self) -> Iterator[tuple[slice, Any]]:
        """Give the block in hand as float64 differences from the origin, slab by slab."""
        for columns in self.columns.values():
            for own in cut(columns.stop - columns.start, SLAB[self.kind]):
                slab = slice(columns.start + own.start, columns.start + own.stop)
                z = self.matrix[slab, self.closed : self.fill].to(self.torch.float64, copy=True)
                yield slab, z.sub_(self.origin[slab, None]) if self.unshifted else z

    def norms(self) -> Any:
        """Return the squared norms of the block's rows by space, (n_spaces, rows) float64."""
        norms = self.origin.new_zeros((len(self.columns), self.fill - self.closed))
        starts = [columns.start for columns in self.columns.values()]
        for slab, z in self.block():
            space = int(np.searchsorted(starts, slab.start, side="right")) - 1
            norms[space] += z.square_().sum(dim=0)
        return norms

    def varies(self, name: str) -> bool:
        """Whether the rows of the block in hand differ in a space."""
        z = self.matrix[self.columns[name], self.closed : self.fill]
        return bool((z != z[:, :1]).any())

    def take(self) -> Any:
        """Return the rows that wait, (D, rows), and make room for others."""
        rows = self.matrix[:, : self.closed]
        self.closed = self.fill = 0
        return rows

    def _write_slab(self, features: Any, slab: slice, n: int) -> None:
        part, origin = self.matrix[slab, self.fill : self.fill + n], self.origin[slab]
        if self.unshifted:
            part.copy_(features.T)
            return
        # Differences are taken in the wider of the two types.
        early = features.dtype == self.torch.float64
        self._transpose(features - origin if early else features, part)
        if not early:
            part.sub_(origin.to(part.dtype)[:, None])
        if self.halves:
            part.copy_(rounded(part, self.halves))

    def _transpose(self, features: Any, out: Any) -> None:
        # Whole, it would miss the cache at every number.
        step = TRANSPOSED_ROWS if self.kind == "cpu" else len(features)
        for rows in cut(len(features), step):
            out[:, rows].copy_(features[rows].T)

    def _tensor(self, features: Any) -> Any:
        """Return features, (n, d), as a tensor on the device."""
        if isinstance(features, np.ndarray):
            # torch warns of memory that may not be written, though it only reads it here.
            writeable = features if features.flags.writeable else features.copy()
            features = self.torch.from_numpy(np.ascontiguousarray(writeable))
        return features.to(self.origin.device, non_blocking=True)
