"""The feature set: a plain folder of arrays, or several folders over the same rows.

folder/
  NAME.npy                (n, d) float16/32/64, one file a space; the stem is the space's name
  NAME.npz, .safetensors  as NAME.npy where they hold one array, else a space of each array's name
  NAME.head.safetensors   weight (K, d), bias (K,), optional
  labels.npy              (n,) integers, optional
  ids.txt                 n lines, optional; by them rows of several folders are joined
  classes.txt             K lines, optional
  feature_set.json        what `intertwine extract` knows of the spaces, optional
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from intertwine.errors import Doubt, InputError
from intertwine.features.in_memory import (
    SpaceInMemory,
    checked_heads,
    checked_ids,
    checked_labels,
    checked_spaces,
)
from intertwine.features.rows import ids_of, join_order, read_id_hashes, read_ids, row_number_hashes
from intertwine.features.space_files import open_spaces, space_files, unread
from intertwine.features.writing.compaction import PENDING
from intertwine.features.writing.journal import journal_paths, merge_journals
from intertwine.features.writing.record import MANIFEST, SHAPE
from intertwine.parallel.threads import prefetch
from intertwine.spaces import Head, Space
from intertwine.storage.files import read_json
from intertwine.storage.npy import read_vector
from intertwine.storage.row_ranges import RowRanges
from intertwine.storage.untrusted import damage_as_error, require_shape
from intertwine.wording import counted, named

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from intertwine.features.space_files import SpaceArray
    from intertwine.numerics.arrays import Array

_AGAIN = "run the same intertwine extract again to finish it"
# Rows read at a time: three chunks are in memory, one of them being read while one is worked on.
CHUNK_ROWS = 1024
# With so many times more dimensions than rows, the two are more often mistaken for each other.
TRANSPOSED = 8


@dataclass(repr=False)
class FeatureSet:
    """Several spaces over the same rows: folders read in bounded ranges, or arrays in memory.

    Make one with `FeatureSet.open` or `FeatureSet.from_arrays`.

    Parameters
    ----------
    paths
        The folders; none for arrays in memory.
    n
        Number of rows.
    spaces, heads, info
        By space: what it is, its classifier where there is one, what extraction recorded.
    labels
        (n,) int64, or None.
    id_hashes
        (n,) uint64 hashes of the ids, or of the row numbers where there are no ids.
    has_ids
        Whether the rows have ids.
    source
        What extraction recorded of the rows' origin.
    left_out
        Ids of the images that extraction left out.
    notes
        Sentences a user should read, such as rows joined in another order.
    name
        What messages and reports call it; its folders when empty.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.arange(6.0).reshape(3, 2)
    >>> FeatureSet.from_arrays({"a": rows, "b": rows[:, :1]}, labels=[0, 1, 1])
    FeatureSet(n=3; a (2), b (1); labels)
    """

    paths: list[Path]
    n: int
    spaces: dict[str, Space]
    heads: dict[str, Head]
    info: dict[str, dict[str, Any]]
    labels: Array | None
    id_hashes: Array
    has_ids: bool
    source: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    name: str = ""
    _files: dict[str, _SpaceFile | SpaceInMemory] = field(default_factory=dict)
    _ids: list[str] | None = None
    _copy: FeatureSet | None = None

    @classmethod
    def open(cls, *paths: str | os.PathLike[str]) -> FeatureSet:
        """Open a feature set.

        Parameters
        ----------
        paths
            One folder, or several over the same rows; these are joined by id when all have ids,
            and must have the same number of rows in the same order when none has.

        Raises
        ------
        InputError
            When a folder is no feature set, rows differ between spaces, ids do not match or
            repeat, a name repeats, or an extraction is not finished.
        FileFormatError
            When a file is truncated or not of its format.
        """
        if not paths:
            raise InputError("got no folder, expected at least one feature set")
        first, *others = [_open_folder(Path(path)) for path in paths]
        for other in others:
            first._join(other)  # noqa: SLF001
        return first

    @classmethod
    def from_arrays(
        cls,
        spaces: Mapping[str, Any],
        *,
        ids: Sequence[Any] | Any | None = None,
        labels: Any | None = None,
        heads: Mapping[str, Any] | None = None,
        name: str = "arrays in memory",
    ) -> FeatureSet:
        """Return a feature set of arrays in memory, as a folder of them would be.

        Every study takes it. Nothing is written to disk, unless work is asked of other processes:
        they read a temporary copy, of which a note tells.

        Parameters
        ----------
        spaces
            (n, d) array by space's name, of any array library or a table of numbers; row i of every
            array is the same sample. float16, float32 and float64 stay, integers become float64.
        ids
            (n,) ids, each once, by which rows of two sets are recognised as the same.
        labels
            (n,) integers: classes in the heads' order, or people.
        heads
            By space the classifier after its features: a `Head`, weight (K, d) and bias (K,) as a
            pair, with classes (K,) as a triple, or a layer that has `weight` and `bias`.
        name
            What messages and reports call the set.

        Returns
        -------
        feature_set
            The arrays themselves, without a copy where they are NumPy's and contiguous.

        Raises
        ------
        InputError
            Naming the argument: for arrays that are not (n, d), not finite, or differ in rows, ids
            that repeat, and labels or heads that do not fit.
        """
        files = checked_spaces(spaces)
        dims = {space: file.array.shape[1] for space, file in files.items()}
        n = len(next(iter(files.values())).array)
        texts, hashes = (None, row_number_hashes(n)) if ids is None else checked_ids(ids, n)
        return cls(
            paths=[],
            n=n,
            spaces={space: Space(space, dim) for space, dim in dims.items()},
            heads=checked_heads(heads or {}, dims),
            info={space: {} for space in dims},
            labels=None if labels is None else checked_labels(labels, n),
            id_hashes=hashes,
            has_ids=texts is not None,
            name=name,
            _files=dict(files),
            _ids=texts,
        )

    @property
    def in_memory(self) -> bool:
        """Whether the set is of arrays in memory, and lies in no folder."""
        return not self.paths

    @property
    def inputs(self) -> list[str]:
        """What a report calls the set: the names of its folders, or its own."""
        return [self.name] if self.name else [path.name for path in self.paths]

    def ids(self) -> list[str]:
        """Return the id of each row, (n,): its number from 0 where the set has no ids."""
        if self._ids is not None:
            return list(self._ids)
        if not self.has_ids:
            return [str(row) for row in range(self.n)]
        return read_ids(self.paths[0] / "ids.txt")

    @overload
    def read(self, names: str, rows: range | Array | None = None) -> Array: ...  # type: ignore[overload-overlap]
    @overload
    def read(self, names: Iterable[str], rows: range | Array | None = None) -> dict[str, Array]: ...
    def read(
        self, names: str | Iterable[str], rows: range | Array | None = None
    ) -> Array | dict[str, Array]:
        """Return some rows of some spaces.

        Parameters
        ----------
        names
            One space's name, or several names.
        rows
            A contiguous range, or (k,) row numbers in any order; all rows when omitted.

        Returns
        -------
        features
            (k, d) of the one space, or by space.
        """
        chosen = range(self.n) if rows is None else rows
        if isinstance(names, str):
            self.require([names])
            return self._files[names].read(chosen)
        return {name: self._files[name].read(chosen) for name in names}

    def __getitem__(self, name: str) -> Array:
        """Return all rows of a space, (n, d)."""
        return self.read(name)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a space of this name."""
        return name in self.spaces

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the spaces."""
        return iter(self.spaces)

    def chunks(
        self,
        names: Sequence[str],
        rows: range | Array | None = None,
        *,
        chunk_rows: int = CHUNK_ROWS,
    ) -> Iterator[tuple[range | Array, dict[str, Array]]]:
        """Walk over rows in bounded chunks.

        Parameters
        ----------
        names
            The spaces to read.
        rows
            A range, or (k,) ascending row numbers; all rows when omitted.
        chunk_rows
            Rows a chunk.

        Yields
        ------
        rows, features
            The row numbers and (chunk, d) by space.
        """
        chosen = range(self.n) if rows is None else rows

        def read(start: int) -> tuple[range | Array, dict[str, Array]]:
            numbers = chosen[start : start + chunk_rows]
            return numbers, self.read(names, numbers)

        chunks = map(read, range(0, len(chosen), chunk_rows))
        yield from chunks if len(chosen) <= chunk_rows else prefetch(chunks)

    def require(self, names: Iterable[str]) -> None:
        """Raise when a space is not in the set.

        Raises
        ------
        InputError
            Naming it and the spaces there are.
        """
        for name in names:
            if name not in self.spaces:
                raise InputError(
                    f"no space {name!r} in {self}; it holds {named(sorted(self.spaces))}"
                )

    def require_two(self) -> None:
        """Raise where there is one space only, with the files that may hold another.

        Raises
        ------
        InputError
            Naming it, and what was not read.
        """
        if len(self.spaces) < 2:
            others = "; ".join(note for note in self.notes if ": not read: " in note)
            raise InputError(
                f"got one space, {next(iter(self.spaces))}, expected at least two"
                + (f"; {others}" if others else "")
            )

    def shape_doubts(self) -> list[str]:
        """Return a doubt where arrays may be transposed and no ids or labels show that they are not."""
        dims = {space.dim for space in self.spaces.values()}
        known = self.has_ids or self.labels is not None
        if known or len(dims) > 1 or self.n * TRANSPOSED > min(dims):
            return []
        (dim,) = dims
        names = ", ".join(f"{name}.npy" for name in self.spaces)
        return [
            Doubt(
                f"{names}: got {counted(self.n, 'row')} of {counted(dim, 'dimension')}; expected (rows, dimensions), so if "
                f"these are {counted(dim, 'row')}, transpose them"
            )
        ]

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the type of a space's numbers."""
        return self._files[name].dtype

    def on_disk(self) -> FeatureSet:
        """Return the set as other processes can read it.

        Arrays in memory are written to a temporary folder, once, of which a note tells; it is removed
        with the set.
        """
        if self.paths:
            return self
        if self._copy is None:
            folder = Path(tempfile.mkdtemp(prefix="intertwine-"))
            for name in self.spaces:
                np.save(folder / f"{name}.npy", self.read(name))
            for name, head in self.heads.items():
                head.save(folder / f"{name}.head.safetensors")
            if self.labels is not None:
                np.save(folder / "labels.npy", self.labels)
            if self.has_ids:
                text = "".join(f"{value}\n" for value in self.ids())
                (folder / "ids.txt").write_text(text, encoding="utf-8", newline="")
            self.notes.append(f"{self} were copied to {folder} for the worker processes")
            self._copy = FeatureSet.open(folder)
            self._copy.name, self._copy.notes = self.name, self.notes
            weakref.finalize(self._copy, shutil.rmtree, folder, ignore_errors=True)
        return self._copy

    def __str__(self) -> str:
        return self.name or " + ".join(str(path) for path in self.paths)

    def __repr__(self) -> str:
        spaces = ", ".join(f"{name} ({space.dim})" for name, space in self.spaces.items())
        more = [
            "labels" if self.labels is not None else "",
            "ids" if self.has_ids else "",
            counted(len(self.heads), "head") if self.heads else "",
        ]
        known = ", ".join(part for part in more if part)
        where = f"{self}: " if self.paths and not self.name else ""
        return f"FeatureSet({where}n={self.n:,}; {spaces}{known and '; '}{known})"

    def _join(self, other: FeatureSet) -> None:
        repeated = sorted(set(self.spaces) & set(other.spaces))
        if repeated:
            raise InputError(f"space {repeated[0]} is in both {self} and {other}")
        if self.has_ids != other.has_ids:
            raise InputError(f"only one of {self} and {other} has ids.txt; rows cannot be matched")
        order = None
        if self.has_ids:
            order, absent, extra = join_order(self.id_hashes, other.id_hashes)
            if order is None:
                raise InputError(_unmatched(self.paths[0], other.paths[0], absent, extra))
            if np.array_equal(order, np.arange(self.n)):
                order = None
            else:
                self.notes.append(f"rows of {other} are in another order; joined by id")
        elif self.n != other.n:
            raise InputError(f"rows differ: {self} has {self.n}, {other} has {other.n}; give ids")
        else:
            self.notes.append(f"{self} and {other} have no ids; rows are matched by number")
        theirs = other.labels if order is None or other.labels is None else other.labels[order]
        if (
            self.labels is not None
            and theirs is not None
            and not np.array_equal(self.labels, theirs)
        ):
            row = int(np.flatnonzero(self.labels != theirs)[0])
            raise InputError(f"labels of {self} and {other} differ, first at row {row}")
        self.labels = theirs if self.labels is None else self.labels
        for mine, new in (
            (self.spaces, other.spaces),
            (self.heads, other.heads),
            (self.info, other.info),
        ):
            mine.update(new)  # type: ignore[arg-type]
        self._files.update(
            {
                name: _SpaceFile(each.file, order)
                for name, each in other._files.items()
                if isinstance(each, _SpaceFile)
            }
        )
        self.paths += other.paths
        self.notes += other.notes


def file_stamps(feature_set: FeatureSet) -> list[list[Any]]:
    """Return path, size in bytes and modification time in nanoseconds of each of a set's arrays.

    JSON-ready, in a fixed order. Of arrays in memory it is their contents' digest.
    """
    files = sorted(feature_set._files.items())  # noqa: SLF001
    in_memory = [each.stamp(name) for name, each in files if isinstance(each, SpaceInMemory)]
    return in_memory or [
        [str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns]
        for folder in feature_set.paths
        for path in sorted({*folder.glob("*.npy"), *space_files(folder)})
    ]


@dataclass(frozen=True)
class _SpaceFile:
    """One space's file, and the set's rows in it (None: in the set's own order)."""

    file: SpaceArray
    order: Array | None

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.file.dtype

    def read(self, rows: range | Array) -> Array:
        if self.order is None:
            return self.file.read(rows)
        index = self.order[rows.start : rows.stop] if isinstance(rows, range) else self.order[rows]
        return self.file.read(index)


def _open_folder(path: Path) -> FeatureSet:
    if not path.is_dir():
        raise InputError(f"{path}: not a feature set: {_no_folder(path)}")
    columns = open_spaces(path)
    lengths = {name: column.n_rows for name, column in columns.items()}
    n = next(iter(lengths.values()))
    manifest = _read_facts(path, n)
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"{path}: rows differ between spaces: got "
            f"{named(f'{length} of {name}' for name, length in lengths.items())}; expected one "
            f"number{_turned(columns)}"
        )
    if n == 0:
        raise InputError(f"{path}: got n = 0 rows, expected at least one")
    info = {name: manifest["spaces"].get(name, {}) for name in columns}
    has_ids = (path / "ids.txt").exists()
    labels = None
    if (path / "labels.npy").exists():
        labels = read_vector(path / "labels.npy")
        if len(labels) != n:
            raise InputError(
                f"{path / 'labels.npy'}: got {counted(len(labels), 'label')}, expected {n}"
            )
    return FeatureSet(
        paths=[path],
        n=n,
        spaces={a: Space(a, c.dim, info[a].get("fingerprint")) for a, c in columns.items()},
        heads=_read_heads(path, {name: column.dim for name, column in columns.items()}),
        info=info,
        labels=labels,
        id_hashes=read_id_hashes(path / "ids.txt", n) if has_ids else row_number_hashes(n),
        has_ids=has_ids,
        source=manifest.get("input", {}),
        left_out=manifest.get("left_out", []),
        notes=[f"{path}: not read: {words}" for words in unread(path)],
        _files={name: _SpaceFile(column, None) for name, column in columns.items()},
    )


def _read_facts(path: Path, n: int) -> dict[str, Any]:
    """Return the manifest of a folder of n rows, with what its journals add, and `left_out` as ids.

    A folder without a manifest was written by another program, and is complete. InputError when an
    extraction is not finished.
    """
    if not (path / MANIFEST).exists():
        return {"spaces": {}}
    manifest = read_json(path / MANIFEST)
    require_shape(manifest, SHAPE, path / MANIFEST)
    with damage_as_error(path / MANIFEST, "what intertwine extract writes"):
        merge_journals(manifest, journal_paths(path))
        left = {
            name: sum(b - a for a, b in RowRanges(facts.get("complete", [[0, n]])).missing(n))
            for name, facts in manifest["spaces"].items()
        }
        bad, out = (
            [str(entry["id"]) for entry in manifest.get(key, ())] for key in ("bad", "left_out")
        )
    if PENDING in manifest:
        raise InputError(f"{path}: images are being left out of it; {_AGAIN}")
    for name, count in left.items():
        if count:
            why = f", {bad[0]} cannot be read" if bad else ""
            raise InputError(f"{path}: space {name} lacks {count} of {n} rows{why}; {_AGAIN}")
    return {**manifest, "left_out": out}


def _read_heads(path: Path, dims: Mapping[str, int]) -> dict[str, Head]:
    """Return the classifiers of a folder's spaces, (name: dimension), of those that have one."""
    heads = {}
    for name, dim in dims.items():
        file = path / f"{name}.head.safetensors"
        if file.exists():
            heads[name] = Head.load(file)
            if heads[name].dim != dim:
                raise InputError(
                    f"{file}: got a head of dimension {heads[name].dim}, expected {dim}"
                )
    return heads


def _no_folder(path: Path) -> str:
    """Return what is in the place of a folder, and what to do."""
    if not path.exists():
        return "nothing there, expected a folder of .npy files"
    if path.suffix in {".npy", ".npz"}:
        what = "one array" if path.suffix == ".npy" else "a file of arrays"
        return f"a file, {what}; put a NAME.npy a space in one folder, and name the folder"
    return "a file, expected a folder of .npy files"


def _turned(columns: Mapping[str, SpaceArray]) -> str:
    """Return a question on the first array with as many dimensions as another has rows."""
    for column in columns.values():
        others = [other for other in columns.values() if other is not column]
        if any(column.dim == other.n_rows != other.dim for other in others):
            shape = f"({column.n_rows}, {column.dim})"
            return (
                f"; {column.path.name} is {shape}, expected (rows, dimensions): is it transposed?"
            )
    return ""


def _unmatched(first: Path, other: Path, absent: Array, extra: Array) -> str:
    where, missing = (other, absent) if absent.size else (first, extra)
    holder = first if absent.size else other
    example = ids_of(holder / "ids.txt", set(missing.tolist()), limit=1)[0]
    with (where / "ids.txt").open(encoding="utf-8-sig") as file:
        held = file.readline().rstrip("\r\n")
    return (
        f"{where / 'ids.txt'}: lacks {counted(missing.size, 'id')} of {holder}, such as {example!r}; "
        f"its own are such as {held!r}"
    )
