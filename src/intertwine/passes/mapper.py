"""Mapping ranges of rows from one file into another that stands already, on threads or workers.

Every chunk is read, mapped and written by one thread with one BLAS thread, so that reading, arithmetic
and writing go on side by side and no bit depends on the number of cores.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from intertwine.errors import IntertwineError
from intertwine.features.row_file import RowFile
from intertwine.map_pair import load_map
from intertwine.threads import available_cores
from intertwine.vectors import VectorFile, open_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intertwine.arrays import Array
    from intertwine.linear_map import LinearMap
    from intertwine.passes.workers import Workers
    from intertwine.ready_map import ReadyMap

    Range = tuple[int, int]

# Chunks that a worker is given at a time.
WORKER_CHUNKS = 64


class UnusableInputError(Exception):
    """Carries what is wrong with the vectors, apart from what may go wrong in writing."""

    @property
    def reason(self) -> IntertwineError:
        """What is wrong; kept where pickling finds it."""
        reason: IntertwineError = self.args[0]
        return reason


@dataclass(frozen=True)
class Mapper:
    """Maps ranges of rows into a `.npy` that stands already, here or on a worker.

    Parameters
    ----------
    map_file, source, array
        Paths of the map, the input and the output in the making.
    dtype
        Of the output.
    device
        Where products are taken.
    gaps
        Whether null vectors of a table stay, as rows of NaN.
    """

    map_file: str
    source: str
    array: str
    dtype: str
    device: str
    gaps: bool = False

    def mapped(self, chunks: list[Range], workers: Workers | None) -> Iterator[Range]:
        """Map chunks; give each when its rows are written, in order without workers.

        Raises
        ------
        UnusableInputError
            For vectors that cannot be mapped.
        InputError
            When the disk is full.
        """
        if workers is None:
            yield from self._on_threads(chunks)
            return
        parts = [chunks[i : i + WORKER_CHUNKS] for i in range(0, len(chunks), WORKER_CHUNKS)]
        for _, done in workers.run(self.map, parts):
            yield from done

    def map(self, chunks: list[Range]) -> list[Range]:
        """Map chunks on this machine, bring them to disk, and return them."""
        return list(self._on_threads(chunks, sync=True))

    def _on_threads(self, chunks: list[Range], *, sync: bool = False) -> Iterator[Range]:
        linear_map = load_map(self.map_file)
        vectors = source_vectors(Path(self.source), linear_map, gaps=self.gaps)
        ready = linear_map.ready_for(vectors.dtype, device=self.device)
        cores = available_cores()
        task = partial(self._map_chunk, ready)
        shape = (vectors.n_rows, linear_map.target.dim)
        with (
            RowFile(Path(self.array), *shape, self.dtype) as file,
            threadpool_limits(1, user_api="blas"),
            # One more than there are cores: some thread always waits for the disk.
            ThreadPoolExecutor(cores + 1) as pool,
        ):
            waiting: deque[Any] = deque()
            try:
                for piece in vectors.pieces(chunks):
                    waiting.append(pool.submit(task, file, piece))
                    if len(waiting) > 2 * cores:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except IntertwineError as error:
                # Not from a thread: reading a table goes on here.
                raise UnusableInputError(error) from error
            finally:
                for future in waiting:
                    future.cancel()
            if sync:
                file.sync()

    def _map_chunk(self, ready: ReadyMap, file: RowFile, piece: Any) -> Range:
        start, stop, load = piece
        out = np.empty((stop - start, file.dim), file.dtype)
        try:
            self._apply(ready, load(), out, start)
        except IntertwineError as error:
            raise UnusableInputError(error) from error
        file.write(start, out)
        return start, stop

    def _apply(self, ready: ReadyMap, rows: Array, out: Array, start: int) -> None:
        """Map rows, those of NaN into rows of NaN where there may be such."""
        there = ~np.isnan(rows[:, 0]) if self.gaps else np.ones(len(rows), bool)
        if there.all():
            ready.apply(rows, out, first_row=start)
            return
        mapped = np.empty((int(there.sum()), out.shape[1]), out.dtype)
        ready.apply(np.ascontiguousarray(rows[there]), mapped, first_row=start)
        out[:] = np.nan
        out[there] = mapped


def source_vectors(source: Path, linear_map: LinearMap, *, gaps: bool = False) -> VectorFile:
    """Return the vectors of the map's source in a folder or a file."""
    if source.is_dir():
        return open_vectors(source / f"{linear_map.source.name}.npy")
    return open_vectors(source, gaps=gaps)
