"""The interface of every file of vectors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from intertwine.extras import import_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np

    from intertwine.numerics.arrays import Array

    Piece = tuple[int, int, Callable[[], Array]]


class VectorFile(Protocol):
    """Vectors of one dimension, read by rows."""

    path: Path

    @property
    def n_rows(self) -> int:
        """Number of rows n."""

    @property
    def dim(self) -> int:
        """Dimension d."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float16, float32 or float64, of either byte order."""

    def read(self, rows: range) -> Array:
        """Return some rows, (k, d); from any thread."""

    def pieces(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Piece]:
        """Yield ascending ranges of rows as (start, stop, function that returns the rows)."""

    def table_with(self, rows: range, vectors: Any, name: str) -> Any:
        """Return some rows as an Arrow table, with other vectors in place of their own.

        Parameters
        ----------
        rows
            The rows.
        vectors
            An Arrow array of as many lists.
        name
            The name of their column, where the file has none.
        """


class ReadAnywhere:
    """Pieces of a file whose rows can be read in any order at no extra cost."""

    def pieces(self: VectorFile, ranges: Iterable[tuple[int, int]]) -> Iterator[Piece]:
        """Yield each range with a function that reads it, on whichever thread calls it."""
        for start, stop in ranges:
            yield start, stop, partial(self.read, range(start, stop))

    def table_with(self, rows: range, vectors: Any, name: str) -> Any:
        """Return a table of the vectors alone: there are no other columns."""
        del rows
        return import_extra("pyarrow", "arrow").table({name: vectors})
