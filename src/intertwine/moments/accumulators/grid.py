"""The absolute grid of row blocks: however rows arrive, blocks end at the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.storage.row_ranges import cut_on_grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Rows a block: products are computed on this grid, and the mean of the first block is the origin.
BLOCK_ROWS = 4096


def pieces(chunk: Mapping[str, Any], first_row: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """Cut rows, (n, d) by space, at the grid's edges; yield each piece and whether it ends a block.

    `first_row` is the number of the first row.
    """
    last_row = first_row + len(next(iter(chunk.values())))
    for start, stop in cut_on_grid(first_row, last_row, BLOCK_ROWS):
        rows = slice(start - first_row, stop - first_row)
        yield {name: array[rows] for name, array in chunk.items()}, stop % BLOCK_ROWS == 0
