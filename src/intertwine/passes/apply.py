"""The pass that maps a file of vectors, in chunks, and goes on where a killed run stood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from intertwine.errors import FileFormatError, InputError, IntertwineError
from intertwine.features.feature_set import FeatureSet
from intertwine.features.npy import NpyFile
from intertwine.features.row_file import RowFile, make_array
from intertwine.files import RowRanges, cannot_write, read_json, sha256_file, write_json
from intertwine.map_pair import load_map
from intertwine.source_check import SAMPLE_ROWS, require_source

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from intertwine.arrays import Array
    from intertwine.linear_map import LinearMap

CHUNK_ROWS = 8192
DTYPES = ("float16", "float32", "float64")


def apply_file(
    map_file: str | os.PathLike[str],
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Map the vectors of one file into another.

    A killed run leaves `.OUTPUT.partial.npy` and a record of the rows done beside `output`; the
    same call goes on from there. `output` itself appears only when it is whole. Where the input
    turns out to be unusable nothing is left.

    Parameters
    ----------
    map_file
        A map, or a pair (its one map through the shared space).
    source
        A `.npy` file, checked by dimension and statistics; or a feature set folder that holds the
        map's source, checked by name and fingerprint.
    output
        The `.npy` file to write.
    dtype
        `float16`, `float32` or `float64`; the input's when omitted.
    force
        Whether to map a bare array even where it looks like another space.
    progress
        Called with (rows done, rows in all).

    Returns
    -------
    summary
        rows, source, target, dtype, output and notes.

    Raises
    ------
    InputError
        For a wrong space, features that are not finite or do not fit the dtype, a full disk.
    FileFormatError
        For a file that is cut or altered.
    """
    source, output = Path(source), Path(output)
    _check_output(output, source)
    if dtype not in {None, *DTYPES}:
        raise InputError(f"got dtype {dtype!r}, expected one of {', '.join(DTYPES)}")
    linear_map = load_map(map_file)
    vectors, notes = _open(source, linear_map, force=force)
    chosen = np.dtype(dtype or vectors.dtype.newbyteorder("="))
    status = vectors.path.stat()
    identity = {
        "map_sha256": sha256_file(map_file),
        "input": [str(vectors.path.resolve()), status.st_size, status.st_mtime_ns],
        "shape": [vectors.n_rows, linear_map.target.dim],
        "dtype": chosen.name,
    }
    with _Partial(output, identity) as partial:
        for start, stop in partial.chunks():
            try:
                rows = vectors.read(range(start, stop))
                out = np.empty((stop - start, linear_map.target.dim), chosen)
                linear_map.apply(rows, out=out, first_row=start)
            except IntertwineError:
                # Only another input can help, and that starts from its first row.
                partial.discard()
                raise
            partial.write(start, out)
            if progress:
                progress(stop, vectors.n_rows)
        partial.finish()
    return {
        "rows": vectors.n_rows,
        "source": linear_map.source.to_json(),
        "target": linear_map.target.to_json(),
        "dtype": chosen.name,
        "output": str(output),
        "notes": notes,
    }


def _open(source: Path, linear_map: LinearMap, *, force: bool) -> tuple[NpyFile, list[str]]:
    """Return the vectors to map, once they are known to be of the map's source."""
    if source.is_dir():
        feature_set = FeatureSet.open(source)
        feature_set.require([linear_map.source.name])
        linear_map.source.require(feature_set.spaces[linear_map.source.name])
        return NpyFile(source / f"{linear_map.source.name}.npy"), []
    vectors = NpyFile(source)
    if vectors.dim != linear_map.source.dim:
        raise InputError(
            f"{source}: got dimension {vectors.dim}, expected {linear_map.source.dim} for "
            f"{linear_map.source.name}"
        )
    if force:
        return vectors, [f"{source}: mapped by --force, not checked to be {linear_map.source.name}"]
    sample = vectors.read(range(min(vectors.n_rows, SAMPLE_ROWS)))
    return vectors, [require_source(linear_map, sample, name=str(source))]


def _check_output(output: Path, source: Path) -> None:
    if output.suffix != ".npy":
        raise InputError(f"got output {output}, expected a name that ends in .npy")
    if output.is_dir():
        raise InputError(f"got output {output}, a folder, expected a file to write")
    if output.exists() and source.exists() and output.samefile(source):
        raise InputError(f"got {output} as input and output, expected another name to write")


class _Partial:
    """An output in the making: its array file and the record of the rows on disk.

    Parameters
    ----------
    output
        The file to be.
    identity
        What makes this call this call: a record of another one is not gone on with.
    """

    def __init__(self, output: Path, identity: dict[str, Any]) -> None:
        self.output, self.identity = output, identity
        self.array = output.with_name(f".{output.stem}.partial.npy")
        self.record = output.with_name(f".{output.stem}.partial.json")
        n, d = identity["shape"]
        recorded = self._recorded()
        self.done = recorded or RowRanges()
        if recorded is None:
            try:
                output.parent.mkdir(parents=True, exist_ok=True)
                # A record must never speak of another array than the one beside it.
                self.record.unlink(missing_ok=True)
                make_array(output, (n, d), identity["dtype"]).replace(self.array)
                self._save()
            except OSError as error:
                raise cannot_write(output, error) from error
            except IntertwineError:
                self.discard()
                raise
        self._file = RowFile(self.array, n, d, identity["dtype"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _recorded(self) -> RowRanges | None:
        """Return the rows a killed run of the very same call finished, if there was one."""
        if not (self.record.exists() and self.array.exists()):
            return None
        try:
            value = read_json(self.record)
            same = value["identity"] == self.identity
            return RowRanges(value["done"]) if same else None
        except (FileFormatError, KeyError, TypeError, ValueError):
            return None

    def _save(self) -> None:
        write_json(self.record, {"identity": self.identity, "done": self.done.to_list()})

    def chunks(self) -> list[tuple[int, int]]:
        """Return the ranges that are left, cut to chunks on one grid."""
        left = self.done.missing(self.identity["shape"][0])
        cuts = []
        for start, stop in left:
            while start < stop:
                edge = min(stop, (start // CHUNK_ROWS + 1) * CHUNK_ROWS)
                cuts.append((start, edge))
                start = edge  # noqa: PLW2901
        return cuts

    def write(self, start: int, rows: Array) -> None:
        """Write rows and mark them done, in that order."""
        self._file.write(start, rows)
        self._file.sync()
        self.done.add(start, start + len(rows))
        self._save()

    def finish(self) -> None:
        """Give the whole file its name."""
        try:
            self.array.replace(self.output)
        except OSError as error:
            raise cannot_write(self.output, error) from error
        self.record.unlink(missing_ok=True)

    def discard(self) -> None:
        """Leave nothing behind."""
        self.record.unlink(missing_ok=True)
        self.array.unlink(missing_ok=True)
