"""The absolute grid of row blocks: however rows arrive, blocks end at the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Rows a block: products are taken on this grid, and the mean of the first block is the origin.
BLOCK_ROWS = 4096


def pieces(chunk: Mapping[str, Any], first_row: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """Cut rows at the edges of the grid.

    Parameters
    ----------
    chunk
        (n, d) by space.
    first_row
        Number of its first row.

    Yields
    ------
    piece, completes
        Rows of one block, and whether they are its last.
    """
    n_rows, start = len(next(iter(chunk.values()))), 0
    while start < n_rows:
        stop = min(n_rows, start + BLOCK_ROWS - (first_row + start) % BLOCK_ROWS)
        piece = {name: array[start:stop] for name, array in chunk.items()}
        yield piece, (first_row + stop) % BLOCK_ROWS == 0
        start = stop
