"""Sets of rows as half-open ranges: what is finished, and what is left."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class RowRanges:
    """A set of rows, as disjoint half-open ranges.

    It is made from pairs (start, stop) in any order, which may touch or overlap.
    """

    def __init__(self, ranges: Iterable[Sequence[int]] | None = None) -> None:
        self._ranges: list[tuple[int, int]] = []
        for start, stop in sorted((int(start), int(stop)) for start, stop in ranges or ()):
            last = self._ranges[-1] if self._ranges else None
            if last is not None and start <= last[1]:
                self._ranges[-1] = (last[0], max(last[1], stop))
            elif start < stop:
                self._ranges.append((start, stop))

    def add(self, start: int, stop: int) -> None:
        """Add rows start … stop−1."""
        if stop <= start:
            return
        # Those that it touches: from the first that ends at its start or later.
        first = bisect_left(self._ranges, start, key=lambda pair: pair[1])
        last = bisect_right(self._ranges, stop, key=lambda pair: pair[0])
        if first < last:
            start = min(start, self._ranges[first][0])
            stop = max(stop, self._ranges[last - 1][1])
        self._ranges[first:last] = [(start, stop)]

    def missing(self, n_rows: int) -> list[tuple[int, int]]:
        """Return the ranges of 0 … n_rows−1 that are not in the set."""
        inside = (min(max(edge, 0), n_rows) for pair in self._ranges for edge in pair)
        edges = [0, *inside, n_rows]
        return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]

    def to_list(self) -> list[list[int]]:
        """Return the ranges as lists, ready for JSON."""
        return [list(pair) for pair in self._ranges]


def cut_on_grid(start: int, stop: int, step: int) -> list[tuple[int, int]]:
    """Return start … stop−1 cut at the multiples of a step, as (first, one after the last)."""
    edges = [start, *range(start - start % step + step, stop, step), stop]
    return list(pairwise(edges)) if start < stop else []
