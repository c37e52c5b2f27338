"""The pass that maps a file of vectors, in chunks, here or on workers, and resumes after a kill."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from threadpoolctl import threadpool_limits

from intertwine.errors import InputError, IntertwineError
from intertwine.features.feature_set import FeatureSet
from intertwine.features.space_files import open_spaces
from intertwine.maps.map_pair import load_map
from intertwine.maps.source_check import SAMPLE_ROWS, require_source
from intertwine.parallel.threads import available_cores
from intertwine.storage.file_state import stamp_of
from intertwine.storage.files import require_apart, sha256_file
from intertwine.storage.locks import one_run
from intertwine.storage.npy import RowFile
from intertwine.vectors import FORMATS, open_vectors, split_name
from intertwine.vectors.partial_output import PartialOutput

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from intertwine.maps.linear_map import LinearMap, ReadyMap
    from intertwine.numerics.arrays import Array
    from intertwine.parallel.progress import RowProgress
    from intertwine.parallel.workers import Workers
    from intertwine.vectors import VectorFile

    Range = tuple[int, int]

# Chunks that a worker gets at a time.
WORKER_CHUNKS = 64
# Rows mapped at a time: few enough to stay in the cache from reading to writing.
CHUNK_ROWS = 1024
# Formats that hold rows without a vector.
TABLES = FORMATS[2:]
DTYPES = ("float16", "float32", "float64")


def apply_file(
    map_file: str | os.PathLike[str],
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    force: bool = False,
    device: str = "cpu",
    workers: Workers | None = None,
    progress: RowProgress | None = None,
) -> dict[str, Any]:
    """Map the vectors of one file into another, and return a JSON-ready summary.

    A killed run leaves `.OUTPUT.partial.npy` and a record of the rows done beside `output`; the
    same call resumes from there. `output` itself appears only when it is whole. Where the input
    turns out to be unusable nothing is left.

    The map may be a pair (its one map through the shared space). The source is a file of vectors
    (see `intertwine.vectors.open_vectors`), checked by dimension and, unless `force`, by
    statistics; or a feature set folder that holds the map's source, checked by name and
    fingerprint. The output's ending is its format; other columns of a Parquet or Arrow input go
    into a Parquet or Arrow output as they are. `dtype` is the input's when omitted; workers must
    see the same files; `progress` takes (rows done, rows in all).
    """
    source, output = Path(source), Path(output)
    _check_output(output)
    require_apart(output, Path(map_file), split_name(source)[0])
    if dtype not in {None, *DTYPES}:
        raise InputError(f"got dtype {dtype!r}, expected one of {', '.join(DTYPES)}")
    linear_map = load_map(map_file)
    gaps = output.suffix in TABLES
    vectors, notes = _open(source, linear_map, force=force, gaps=gaps)
    notes += _lost(vectors, output)
    chosen = np.dtype(dtype or vectors.dtype.newbyteorder("="))
    stamp = stamp_of(vectors.path)
    identity = {
        "map_sha256": sha256_file(map_file),
        "input": [str(vectors.path.resolve()), source.name, *stamp],
        "output": output.name,
        "shape": [vectors.n_rows, linear_map.target.dim],
        "dtype": chosen.name,
        "device": device,
    }
    with one_run(output), PartialOutput(output, identity) as unfinished:
        mapper = Mapper(
            str(map_file), str(source), str(unfinished.array), chosen.name, device, gaps
        )
        unusable: IntertwineError | None = None
        try:
            for start, stop in mapper.mapped(unfinished.chunks(CHUNK_ROWS), workers):
                unfinished.add(start, stop)
                if progress:
                    progress(stop, vectors.n_rows)
        except UnusableInputError as error:
            unusable = error.reason
        if unusable is not None:
            # Only another input can help, and that starts from its first row.
            unfinished.discard()
            raise unusable  # here: an error that is its own context has no end
        if stamp_of(vectors.path) != stamp:
            unfinished.discard()
            raise InputError(f"{vectors.path} has changed while it was mapped; run again")
        unfinished.finish(vectors, linear_map.target.name)
    return {
        "rows": vectors.n_rows,
        "source": linear_map.source.to_json(),
        "target": linear_map.target.to_json(),
        "dtype": chosen.name,
        "output": str(output),
        "notes": notes,
    }


def _check_output(output: Path) -> None:
    if output.suffix not in FORMATS:
        raise InputError(
            f"got output {output}, expected a name that ends in one of {', '.join(FORMATS)}"
        )
    if output.is_dir():
        raise InputError(f"got output {output}, a folder, expected a file to write")


def _open(
    source: Path, linear_map: LinearMap, *, force: bool, gaps: bool
) -> tuple[VectorFile, list[str]]:
    """Return the vectors to map, checked to be of the map's source, and notes on the check."""
    if source.is_dir():
        feature_set = FeatureSet.open(source)
        feature_set.require([linear_map.source.name])
        linear_map.source.require(feature_set.spaces[linear_map.source.name])
        return source_vectors(source, linear_map), []
    vectors = source_vectors(source, linear_map, gaps=gaps)
    if vectors.dim != linear_map.source.dim:
        raise InputError(
            f"{source}: got dimension {vectors.dim}, expected {linear_map.source.dim} for "
            f"{linear_map.source.name}"
        )
    if force:
        return vectors, [f"{source}: mapped by --force, not checked to be {linear_map.source.name}"]
    sample = _sample(vectors, gaps=gaps)
    return vectors, [require_source(linear_map, sample, name=str(source))]


def source_vectors(source: Path, linear_map: LinearMap, *, gaps: bool = False) -> VectorFile:
    """Return the vectors of the map's source in a folder or a file."""
    if source.is_dir():
        return _space_of(source, linear_map.source.name)
    return open_vectors(source, gaps=gaps)


def _space_of(folder: Path, name: str) -> VectorFile:
    """Return the vectors of one space of a feature set."""
    file = folder / f"{name}.npy"
    if not file.exists() and (spaces := open_spaces(folder)).get(name) is not None:
        return cast("VectorFile", spaces[name])
    return open_vectors(file)


def _sample(vectors: VectorFile, *, gaps: bool) -> Array:
    """Return the first vectors of a file."""
    for start in range(0, vectors.n_rows, SAMPLE_ROWS):
        rows = vectors.read(range(start, min(vectors.n_rows, start + SAMPLE_ROWS)))
        there = _there(rows, gaps=gaps)
        if there.any():
            return rows[there]
    if vectors.n_rows:
        raise InputError(f"{vectors.path}: holds no vectors, expected some to map")
    return vectors.read(range(0))


def _there(rows: Array, *, gaps: bool) -> Array:
    """Return which rows hold a vector, (n,) bool; all of them where there are no gaps."""
    return ~np.isnan(rows[:, 0]) if gaps else np.ones(len(rows), bool)


def _lost(vectors: VectorFile, output: Path) -> list[str]:
    """Return a note where the input has columns that the output's format cannot hold."""
    columns = getattr(vectors, "other_columns", [])
    if columns and output.suffix in FORMATS[:2]:
        return [f"{output}: holds vectors alone; left out columns {', '.join(columns)}"]
    return []


@dataclass(frozen=True)
class Mapper:
    """Maps ranges of rows into a `.npy` that exists already, here or on a worker.

    `map_file`, `source` and `array` are paths of the map, the input and the unfinished output; with
    `gaps`, null vectors of a table stay, as rows of NaN.
    """

    map_file: str
    source: str
    array: str
    dtype: str
    device: str
    gaps: bool = False

    def mapped(self, chunks: list[Range], workers: Workers | None) -> Iterator[Range]:
        """Map chunks, and yield each when its rows are written, in order without workers.

        UnusableInputError for vectors that cannot be mapped; InputError when the disk is full.
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
                # Not from a thread: tables are read here.
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
        """Map rows; where gaps may occur, rows of NaN stay rows of NaN."""
        there = _there(rows, gaps=self.gaps)
        if there.all():
            ready.apply(rows, out, first_row=start)
            return
        mapped = np.empty((int(there.sum()), out.shape[1]), out.dtype)
        ready.apply(np.ascontiguousarray(rows[there]), mapped, first_row=start)
        out[:] = np.nan
        out[there] = mapped


class UnusableInputError(Exception):
    """Carries what is wrong with the vectors, apart from what may go wrong in writing."""

    @property
    def reason(self) -> IntertwineError:
        """What is wrong; in `args`, where pickling finds it."""
        reason: IntertwineError = self.args[0]
        return reason
