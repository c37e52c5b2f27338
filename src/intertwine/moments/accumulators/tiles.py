"""The upper triangle of the joint scatter, cut into tiles."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intertwine.moments.accumulators.sums import Sums

Tile = tuple[str, slice, str, slice]


def cut(size: int, widest: int) -> list[slice]:
    """Return slices of nearly equal width, at most `widest`, that cover 0 … size−1."""
    count = -(-size // widest)
    edges = [size * k // count for k in range(count + 1)] if count else [0]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def tiles(sums: Sums, widest: int, diagonal: int) -> list[Tile]:
    """Return the tiles of the upper triangle of every pair of spaces, largest first.

    A tile is (space, its features, space, its features), at most `widest` wide and high; on the
    diagonal, where half of it is wasted or slow, at most `diagonal`. Large ones come first so that
    no thread is left with one at the end.
    """
    dims = {name: len(first) for name, first in sums.first.items()}
    parts: list[Tile] = []
    for a, b in sums.second:
        for i in cut(dims[a], min(widest, diagonal) if a == b else widest):
            if a == b:
                parts.append((a, i, a, i))
            right = i.stop if a == b else 0
            parts += [
                (a, i, b, slice(right + j.start, right + j.stop))
                for j in cut(dims[b] - right, widest)
            ]
    return sorted(parts, key=area, reverse=True)


def area(tile: Tile) -> int:
    """Return how many numbers a tile holds."""
    _, i, _, j = tile
    return int((i.stop - i.start) * (j.stop - j.start))
