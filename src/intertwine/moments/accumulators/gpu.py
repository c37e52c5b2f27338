"""Sums of products on torch devices: the matrix units of a processor, or one GPU or more.

Rows wait in a (D, rows) buffer until there are enough for one product; devices share the tiles of
the upper triangle.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.accumulators.halves import matrix_units, product, rounded, split
from intertwine.moments.accumulators.sums import check_norms
from intertwine.moments.accumulators.tiles import Tile, area, cut, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from intertwine.moments.accumulators.precisions import Products
    from intertwine.moments.accumulators.sums import Sums
    from intertwine.numerics.arrays import Array

# Widest tile: a processor's stays in its cache, a GPU's is large enough to fill it; wider ones would
# waste more of their work below the diagonal.
WIDEST = {"cpu": 512, "cuda": 2048}
# Products of unshifted float16 keep float32's digits of the spread only while the mean is not much
# larger: at this ratio of mean to deviation 900 roundings are lost, 5e-5 of the spread.
LARGEST_MEAN = 30.0
# Blocks a product: a GPU's float32 accumulators are flushed to float64 less often, since each flush
# costs it as much as many rows.
FLUSH_BLOCKS = {"cpu": 1, "cuda": 4}
# Features processed at a time, so that each step finds them in the cache.
SLAB = {"cpu": 128, "cuda": 4096}
# Rows transposed at a time, for the same reason.
TRANSPOSED_ROWS = 256


class TorchAccumulator:
    """Adds rows to sums with products on torch devices, and sums in float64 there.

    The sums are complete after `collect`; the origin is (d,) by space.
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
        """Rows of the pending block."""
        return 0 if self.buffer is None else self.buffer.fill - self.buffer.closed

    def write(self, rows: Mapping[str, Any]) -> None:
        """Add rows, NumPy arrays or tensors, to the pending block."""
        self._prepared(rows).write(rows)

    def close(self) -> None:
        """Add the pending block."""
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
        """Add what every device summed up to the sums."""
        self._multiply()
        first, cross = self.first.cpu().numpy(), self.cross.cpu().numpy()
        for share in self.shares:
            for tile, block in share.drain():
                self._add_tile(tile, block, first)
        for name, columns in self.columns.items():
            self.sums.first[name] += first[columns]
            self.sums.norm_cross[name] += cross[:, columns]
        self.first.zero_()
        self.cross.zero_()
        self.n_new = 0

    def _prepared(self, rows: Mapping[str, Any]) -> RowBuffer:
        """Return the buffer, made once the type of the features is known."""
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
            rows = self.buffer.drain()
            for share in self.shares:
                share.add(rows)

    def _add_tile(self, tile: Tile, block: Array, first: Array) -> None:
        """Add a tile's products to the sums, about the origin even where they were not computed so."""
        a, i, b, j = tile
        if self.buffer is not None and self.buffer.unshifted:
            c = self.origin.cpu().numpy()
            c_a, c_b = c[self.columns[a]][i], c[self.columns[b]][j]
            z_a, z_b = first[self.columns[a]][i], first[self.columns[b]][j]
            # Σ(x − c)(x − c)ᵀ = Σxxᵀ − c(Σz)ᵀ − (Σz)cᵀ − n·ccᵀ with z = x − c.
            block = block - np.outer(c_a, z_b + self.n_new * c_b) - np.outer(z_a, c_b)
        self.sums.second[a, b][i, j] += block


class RowBuffer:
    """A (D, rows) buffer of rows on a device, and what is needed of them besides their products.

    The origin is a (D,) float64 tensor there, `columns` the columns of the joint matrix by space.
    Rows become differences from the origin, or stay float16 as they are when `unshifted`.
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
        """Write rows of the pending block behind those that wait."""
        n = len(next(iter(rows.values())))
        for name, columns in self.columns.items():
            features = self._tensor(rows[name])
            for part in cut(features.shape[1], SLAB[self.kind]):
                slab = slice(columns.start + part.start, columns.start + part.stop)
                self._write_slab(features[:, part], slab, n)
        self.fill += n

    def block(self) -> Iterator[tuple[slice, Any]]:
        """Yield the pending block as float64 differences from the origin, slab by slab."""
        for columns in self.columns.values():
            for part in cut(columns.stop - columns.start, SLAB[self.kind]):
                slab = slice(columns.start + part.start, columns.start + part.stop)
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
        """Return whether the rows of the pending block differ in a space."""
        z = self.matrix[self.columns[name], self.closed : self.fill]
        return bool((z != z[:, :1]).any())

    def drain(self) -> Any:
        """Return the rows that wait, (D, rows), and empty the buffer."""
        rows = self.matrix[:, : self.closed]
        self.closed = self.fill = 0
        return rows

    def _write_slab(self, features: Any, slab: slice, n: int) -> None:
        part, origin = self.matrix[slab, self.fill : self.fill + n], self.origin[slab]
        if self.unshifted:
            part.copy_(features.T)
            return
        # Differences are computed in the wider of the two types.
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


class DeviceTiles:
    """Some tiles, and the float64 totals of their products, on one torch device.

    `columns` are the columns of the joint matrix by space; `fast` splits its inputs in this many
    bfloat16 `halves`, 0 for none.
    """

    def __init__(self, device: Any, columns: Mapping[str, slice], halves: int) -> None:
        self.torch = import_extra("torch", "fast")
        self.device, self.columns, self.halves = device, columns, halves
        self.totals: list[tuple[Tile, Any]] = []
        self.in_place = False

    def assign(self, tile: Tile, memory: Array | None) -> None:
        """Add a tile; its total is in the memory passed in, or on the device."""
        _, i, _, j = tile
        self.in_place = memory is not None
        if memory is None:
            shape = (i.stop - i.start, j.stop - j.start)
            total = self.torch.zeros(shape, dtype=self.torch.float64, device=self.device)
        else:
            total = self.torch.from_numpy(memory)
        self.totals.append((tile, total))

    @property
    def area(self) -> int:
        """The numbers in all of its tiles."""
        return sum(area(tile) for tile, _ in self.totals)

    def add(self, z: Any) -> None:
        """Add the products of some rows, (D, rows)."""
        inputs = self._inputs(z.to(self.device))
        for (a, i, b, j), total in self.totals:
            left = [part[self.columns[a]][i] for part in inputs]
            right = [part[self.columns[b]][j] for part in inputs]
            total.add_(product(left, right))

    def drain(self) -> Iterator[tuple[Tile, Array]]:
        """Yield every total that is not in the sums already, and reset it to zero."""
        for tile, total in [] if self.in_place else self.totals:
            yield tile, total.cpu().numpy()
            total.zero_()

    def _inputs(self, z: Any) -> list[Any]:
        on_processor = self.device.type == "cpu"
        if not self.halves:
            # A processor multiplies float16 numbers as float32, which is as exact.
            return [z.float() if on_processor and z.dtype == self.torch.float16 else z]
        if on_processor:
            # Its product of bfloat16 tensors would round the result to bfloat16.
            return [z] if self.halves == 1 else [part.float() for part in split(z, self.halves)]
        return split(z, self.halves)


def shared_tiles(
    sums: Sums, columns: Mapping[str, slice], devices: list[Any], halves: int, *, in_place: bool
) -> list[DeviceTiles]:
    """Distribute the tiles of the upper triangle over devices, about the same area each.

    With `in_place`, processors add straight into the memory of the sums.
    """
    widest = WIDEST[devices[0].type]
    shares = [DeviceTiles(device, columns, halves) for device in devices]
    for tile in tiles(sums, widest, widest):
        a, i, b, j = tile
        share = min(shares, key=lambda share: share.area)
        shared = in_place and share.device.type == "cpu"
        share.assign(tile, sums.second[a, b][i, j] if shared else None)
    return shares
