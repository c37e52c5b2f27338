"""Making a file of rows on a thread of its own while the rows are still coming."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from intertwine.storage.npy import NpyFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intertwine.numerics.arrays import Array


class NoMoreRowsError(Exception):
    """Rows that were waited for will not come in this run."""


class GrowingRows(NpyFile):
    """A `.npy` at its final size that is filled from its first row on; who reads further waits."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._there, self._ended = 0, False
        self._changed = threading.Condition()

    def grow(self, there: int) -> None:
        """Note that all rows before one are there."""
        with self._changed:
            self._there = there
            self._changed.notify_all()

    def end(self) -> None:
        """Note that no more rows come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def read(self, rows: range | Array) -> Array:
        """Return some rows once they are there; NoMoreRowsError when they do not come."""
        stop = rows.stop if isinstance(rows, range) else int(rows.max()) + 1
        with self._changed:
            self._changed.wait_for(lambda: self._there >= stop or self._ended)
            if self._there < stop:
                raise NoMoreRowsError
        return super().read(rows)


class FileMaker:
    """Makes one file beside the work that fills its rows; `build` reads them in their order."""

    def __init__(self, build: Callable[[NpyFile], None], path: Path) -> None:
        self._rows = GrowingRows(path)
        self._thread = ThreadPoolExecutor(1)
        self._made: Future[None] = self._thread.submit(build, self._rows)

    def grow(self, there: int) -> None:
        """Note that all rows before one are there; raise what went wrong so far."""
        self._rows.grow(there)
        if self._made.done():
            self._made.result()

    def finish(self) -> None:
        """Return when the file is made; raise what went wrong."""
        try:
            self._made.result()
        finally:
            self.stop()

    def stop(self) -> None:
        """Leave the file unmade unless it is made already."""
        self._rows.end()
        self._thread.shutdown()
