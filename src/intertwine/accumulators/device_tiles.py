"""The tiles of the upper triangle that one torch device multiplies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.accumulators.halves import product, split
from intertwine.accumulators.tiles import Tile, area, tiles
from intertwine.extras import import_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from intertwine.arrays import Array
    from intertwine.sums import Sums

# Widest tile: a processor's stays in its cache, a GPU's is large enough to fill it; wider ones would
# waste more of their work below the diagonal.
WIDEST = {"cpu": 512, "cuda": 2048}


class DeviceTiles:
    """Some tiles, and the totals of their products, float64, on one device.

    Parameters
    ----------
    device
        The torch device.
    columns
        Columns of the joint matrix by space.
    halves
        In how many bfloat16 halves `fast` splits its inputs; 0 where they stay as they are.
    """

    def __init__(self, device: Any, columns: Mapping[str, slice], halves: int) -> None:
        self.torch = import_extra("torch", "fast")
        self.device, self.columns, self.halves = device, columns, halves
        self.totals: list[tuple[Tile, Any]] = []
        self.in_place = False

    def assign(self, tile: Tile, memory: Array | None) -> None:
        """Make a tile this device's; its total is in the memory given, or on the device."""
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
        """Numbers in all of its tiles."""
        return sum(area(tile) for tile, _ in self.totals)

    def add(self, z: Any) -> None:
        """Add the products of some rows, (D, rows)."""
        inputs = self._inputs(z.to(self.device))
        for (a, i, b, j), total in self.totals:
            left = [part[self.columns[a]][i] for part in inputs]
            right = [part[self.columns[b]][j] for part in inputs]
            total.add_(product(left, right))

    def take(self) -> Iterator[tuple[Tile, Array]]:
        """Give every total that is not in the sums already, and start anew from zero."""
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
    """Deal the tiles of the upper triangle to devices, every one about the same area.

    Parameters
    ----------
    sums
        The sums that the tiles belong to.
    columns
        Columns of the joint matrix by space.
    devices
        One torch device or more.
    halves
        In how many halves inputs are split.
    in_place
        Whether processors add straight into the memory of the sums.
    """
    widest = WIDEST[devices[0].type]
    shares = [DeviceTiles(device, columns, halves) for device in devices]
    for tile in tiles(sums, widest, widest):
        a, i, b, j = tile
        share = min(shares, key=lambda share: share.area)
        own = in_place and share.device.type == "cpu"
        share.assign(tile, sums.second[a, b][i, j] if own else None)
    return shares
