"""The arrays of a folder: `.npy`, `.npz` and `.safetensors`; what else is there is named.

A file of one array is the space of its own name, one of several holds a space of each array's name.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.lib import format as npy_format
from safetensors import SafetensorError, safe_open

from intertwine.errors import FileFormatError, InputError
from intertwine.spaces import check_space_name
from intertwine.storage.files import HEADER_KEY
from intertwine.storage.npy import NpyFile, looks_like, require_vectors
from intertwine.storage.untrusted import DAMAGE, require_ordinary
from intertwine.vectors.arrays import SafetensorsVectors
from intertwine.vectors.vector_file import ReadAnywhere
from intertwine.wording import counted, named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from intertwine.numerics.arrays import Array

HEAD = ".head.safetensors"
LABELS = "labels.npy"
# Tables that are no features: what extraction found of faces, and lists of pairs.
_TABLES = frozenset({"faces.csv", "pairs.csv"})
# Files of arrays that are not read, and what makes NAME.npy of one.
_CONVERT = {
    ".pt": "torch.load('{file}', weights_only=True).float().numpy()",
    ".pth": "torch.load('{file}', weights_only=True).float().numpy()",
    ".csv": "numpy.loadtxt('{file}', delimiter=',')",
    ".tsv": "numpy.loadtxt('{file}', delimiter='\\t')",
    ".h5": "h5py.File('{file}')['DATASET'][:]",
    ".hdf5": "h5py.File('{file}')['DATASET'][:]",
    ".mat": "scipy.io.loadmat('{file}')['VARIABLE']",
    ".parquet": "numpy.stack(pandas.read_parquet('{file}')['COLUMN'])",
    ".arrow": "numpy.stack(pandas.read_feather('{file}')['COLUMN'])",
    ".feather": "numpy.stack(pandas.read_feather('{file}')['COLUMN'])",
    ".pkl": "ARRAY",
    ".pickle": "ARRAY",
}
_DAMAGE = (zipfile.BadZipFile, OSError, RuntimeError, *DAMAGE)


class SpaceArray(Protocol):
    """One space's array, read by rows."""

    path: Path

    @property
    def n_rows(self) -> int:
        """Number of rows n."""

    @property
    def dim(self) -> int:
        """Dimension d."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float16, float32 or float64."""

    def read(self, rows: range | Array) -> Array:
        """Return some rows, (k, d), in native byte order."""


class StoredVectors(ReadAnywhere, NpyFile):
    """An array that an `.npz` holds as it is, read by rows where it lies in the file."""


class UnpackedVectors(ReadAnywhere):
    """An array that an `.npz` holds compressed, which is unpacked as a whole."""

    def __init__(self, path: Path, array: Array) -> None:
        self.path, self._array = path, array
        self.n_rows, self.dim = array.shape
        self.dtype = array.dtype

    def read(self, rows: range | Array) -> Array:
        """Return some rows, (k, d), as a new array."""
        if isinstance(rows, range):
            return self._array[rows.start : rows.stop].copy()
        return np.asarray(self._array[rows])


def space_files(folder: Path) -> list[Path]:
    """Return the files of a folder that hold spaces, sorted; neither hidden ones nor heads."""
    return [
        file
        for file in sorted(folder.iterdir() if folder.is_dir() else ())
        if file.suffix in {".npy", ".npz", ".safetensors"}
        and not file.name.startswith(".")
        and file.name != LABELS
        and not file.name.endswith(HEAD)
        and not (file.suffix == ".safetensors" and _is_ours(file))
    ]


def open_spaces(folder: Path) -> dict[str, SpaceArray]:
    """Return each space's array by name.

    InputError for a folder without any, a name that stands twice or that no space can have, and
    arrays that are no (n, d) floating point; FileFormatError for a damaged file.
    """
    spaces: dict[str, SpaceArray] = {}
    for file in space_files(folder):
        for name, array in _arrays_of(file):
            try:
                check_space_name(name)
            except InputError as error:
                what = "file" if name == file.stem else f"array {name}"
                raise InputError(f"{file}: {error}; rename the {what}") from error
            if name in spaces:
                raise InputError(
                    f"space {name} is in both {spaces[name].path} and {file}; rename one"
                )
            spaces[name] = array
    if not spaces:
        found = unread(folder)
        raise InputError(
            f"{folder}: not a feature set: expected NAME.npy, one (n, d) file a space"
            + (f"; got {'; '.join(found)}" if found else "")
        )
    return spaces


def unread(folder: Path) -> list[str]:
    """Return words on the files of arrays that are not read, an item a kind, with what to do."""
    files = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in _CONVERT
        and not file.name.startswith(".")
        and file.name not in _TABLES
    ]
    words = []
    for kind, count in Counter(file.suffix.lower() for file in files).items():
        first = next(file for file in files if file.suffix.lower() == kind)
        array = _CONVERT[kind].format(file=first.name)
        words.append(
            f"{counted(count, f'{kind} file')}, such as {first.name}: convert each, "
            f"numpy.save('{first.stem}.npy', {array})"
        )
    return words


def _is_ours(file: Path) -> bool:
    """Return whether a file is a map, moments or the like, which this program wrote."""
    try:
        require_ordinary(file)
        with safe_open(str(file), framework="numpy") as opened:
            return HEADER_KEY in (opened.metadata() or {})
    except (OSError, SafetensorError, FileFormatError, *DAMAGE):
        return False


def _arrays_of(file: Path) -> Iterator[tuple[str, SpaceArray]]:
    """Yield the arrays of a file by the names of their spaces."""
    if file.suffix == ".npy":
        yield file.stem, NpyFile(file)
        return
    names = _members(file)
    if not names:
        raise InputError(f"{file}: holds no array, expected (n, d) arrays")
    for name in names:
        array: SpaceArray = (
            SafetensorsVectors(file, name) if file.suffix == ".safetensors" else _member(file, name)
        )
        yield (file.stem if len(names) == 1 else name), array


def _members(file: Path) -> list[str]:
    """Return the names of a file's arrays, which must all be (n, d)."""
    require_ordinary(file)
    try:
        if file.suffix == ".npz":
            with zipfile.ZipFile(file) as archive:
                return [name.removesuffix(".npy") for name in archive.namelist()]
        with safe_open(str(file), framework="numpy") as opened:
            shapes = {key: opened.get_slice(key).get_shape() for key in opened.keys()}  # noqa: SIM118
    except (SafetensorError, *_DAMAGE) as error:
        raise FileFormatError(
            f"{file}: not a {file.suffix} file, or cut short{looks_like(file, but=file.suffix)}"
        ) from error
    for name, shape in shapes.items():
        if len(shape) != 2:
            raise InputError(_no_space(file, name, tuple(shape)))
    return sorted(shapes)


def _member(file: Path, name: str) -> SpaceArray:
    """Return one array of an `.npz`."""
    try:
        with zipfile.ZipFile(file) as archive:
            entry = archive.getinfo(name if name in archive.namelist() else f"{name}.npy")
            with archive.open(entry) as opened:
                shape, dtype = _shape_of(opened)
            stored = entry.compress_type == zipfile.ZIP_STORED
            if len(shape) == 2 and dtype.kind == "f" and not stored:
                with archive.open(entry) as opened:
                    array = npy_format.read_array(opened, allow_pickle=False)
    except _DAMAGE as error:
        raise FileFormatError(f"{file}: {name} is no array, or cut short") from error
    if len(shape) != 2 or dtype.kind != "f":
        raise InputError(_no_space(file, name, shape, str(dtype)))
    if stored:
        return StoredVectors(file, start=_begin(file, entry))
    require_vectors(f"{file}: {name}", array.shape, array.dtype)
    return UnpackedVectors(file, np.asarray(array, array.dtype.newbyteorder("=")))


def _shape_of(opened: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and the type that the header of an array states."""
    version = npy_format.read_magic(opened)
    first = version == (1, 0)
    read = npy_format.read_array_header_1_0 if first else npy_format.read_array_header_2_0
    shape, _, dtype = read(opened)
    return shape, dtype


def _begin(file: Path, entry: zipfile.ZipInfo) -> int:
    """Return the byte at which what an archive holds as it is begins, behind its own header."""
    with file.open("rb") as raw:
        raw.seek(entry.header_offset + 26)
        lengths = (int.from_bytes(raw.read(2), "little") for _ in range(2))
        return entry.header_offset + 30 + sum(lengths)


def _no_space(file: Path, name: str, shape: tuple[int, ...], dtype: str = "") -> str:
    axes = named(shape, "a single number")
    return (
        f"{file}: {name} is an array of shape ({axes}){' of ' + dtype if dtype else ''}, expected "
        "(n, d) of float16, float32 or float64 only; write labels to labels.npy, ids to ids.txt, and "
        "leave other arrays out"
    )
