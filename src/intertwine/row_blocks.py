"""Rows that come in any chunks, cut into blocks on one absolute grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.arrays import namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Rows a block: products are taken on this grid however the rows arrive, and the mean of the first
# block is the origin.
BLOCK_ROWS = 4096


class RowBlocks:
    """Cuts rows into blocks that end at multiples of 4,096 rows of the whole.

    Parameters
    ----------
    first_row
        Number of the first row.
    """

    def __init__(self, first_row: int = 0) -> None:
        self.next_block = first_row
        self.n_waiting = 0
        self._waiting: list[dict[str, Any]] = []

    @property
    def next_row(self) -> int:
        """Number of the next row to come."""
        return self.next_block + self.n_waiting

    def push(self, chunk: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Take rows and give every block that they complete.

        Parameters
        ----------
        chunk
            (n, d) by space.
        """
        n_rows = len(next(iter(chunk.values())))
        start = 0
        while start < n_rows:
            edge = (self.next_block // BLOCK_ROWS + 1) * BLOCK_ROWS
            stop = min(n_rows, start + edge - self.next_row)
            part = {name: array[start:stop] for name, array in chunk.items()}
            full = self.next_row + stop - start == edge
            # What waits must not change when the caller reuses its buffer.
            self._waiting.append(part if full else {a: _copy(part[a]) for a in part})
            self.n_waiting += stop - start
            if full:
                yield self.close()
            start = stop

    def close(self) -> dict[str, Any]:
        """Give the rows that wait as one block, though it may end between the grid's edges."""
        parts, first = self._waiting, self._waiting[0]
        block = first if len(parts) == 1 else {a: _joined([p[a] for p in parts]) for a in first}
        self.next_block = self.next_row
        self._waiting, self.n_waiting = [], 0
        return block


def _copy(array: Any) -> Any:
    return namespace(array).asarray(array, copy=True)


def _joined(parts: list[Any]) -> Any:
    return namespace(*parts).concat(parts, axis=0)
