"""Rows that wait on a torch device for the next product, as one (D, rows) matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.accumulators.halves import rounded
from intertwine.accumulators.tiles import cut
from intertwine.extras import import_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from intertwine.accumulators.precisions import Products

# Rows a product: a GPU's float32 accumulators are flushed to float64 less often, since each flush
# costs it as much as many rows.
FLUSH_ROWS = {"cpu": 4096, "cuda": 16384}
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
        self.dtype = torch.float16 if unshifted else wide
        self.matrix: Any = None
        self.fill = self.n_written = 0

    def has_room(self, n: int) -> bool:
        """Whether n more rows fit."""
        return self.matrix is None or self.fill + n <= self.matrix.shape[1]

    def write(self, rows: Mapping[str, Any]) -> Any:
        """Write rows behind those that wait; return their squared norms, (n_spaces, n) float64.

        They wait only after `keep`.
        """
        self.n_written = len(next(iter(rows.values())))
        if self.matrix is None:
            size = (len(self.origin), max(self.n_written, FLUSH_ROWS[self._kind]))
            self.matrix = self.origin.new_empty(size, dtype=self.dtype)
        norms = self.origin.new_zeros((len(self.columns), self.n_written))
        for k, (name, columns) in enumerate(self.columns.items()):
            features = self._tensor(rows[name])
            for own in cut(features.shape[1], SLAB[self._kind]):
                slab = slice(columns.start + own.start, columns.start + own.stop)
                self._write_slab(features[:, own], slab)
                norms[k] += self._wide(slab).square_().sum(dim=0)
        return norms

    def keep(self) -> None:
        """Let the rows written last wait for the next product."""
        self.fill += self.n_written
        self.n_written = 0

    def rows(self) -> Any:
        """Return the rows that wait, (D, rows)."""
        return self.matrix[:, : self.fill]

    def written(self) -> Iterator[tuple[slice, Any]]:
        """Give the rows written last as float64 differences from the origin, slab by slab."""
        for slab in cut(len(self.origin), SLAB[self._kind]):
            yield slab, self._wide(slab)

    @property
    def _kind(self) -> str:
        return str(self.origin.device.type)

    def _part(self, slab: slice) -> Any:
        return self.matrix[slab, self.fill : self.fill + self.n_written]

    def _wide(self, slab: slice) -> Any:
        z = self._part(slab).to(self.torch.float64, copy=True)
        return z.sub_(self.origin[slab, None]) if self.unshifted else z

    def _write_slab(self, features: Any, slab: slice) -> None:
        part, origin = self._part(slab), self.origin[slab]
        if self.unshifted:
            part.copy_(features.T)
            return
        # Differences are taken in the wider of the two types.
        early = features.dtype == self.torch.float64
        self._transpose(features - origin if early else features, part)
        if not early:
            part.sub_(origin.to(self.dtype)[:, None])
        if self.halves:
            part.copy_(rounded(part, self.halves))

    def _transpose(self, features: Any, out: Any) -> None:
        # Whole, it would miss the cache at every number.
        step = TRANSPOSED_ROWS if self._kind == "cpu" else len(features)
        for rows in cut(len(features), step):
            out[:, rows].copy_(features[rows].T)

    def _tensor(self, features: Any) -> Any:
        """Return features, (n, d), as a tensor on the device."""
        if isinstance(features, np.ndarray):
            # torch warns of memory that may not be written, though it only reads it here.
            writeable = features if features.flags.writeable else features.copy()
            features = self.torch.from_numpy(np.ascontiguousarray(writeable))
        return features.to(self.origin.device, non_blocking=True)
