"""Reading and writing ranges of rows of `.npy` files in bounded memory.

A mapping would count every page it touches as resident memory, so rows are read into buffers.
"""

from __future__ import annotations

import math
import os
import threading
import tokenize
import warnings
from io import BytesIO, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.lib import format as npy_format

from intertwine.errors import FileFormatError, InputError
from intertwine.storage.files import PART, cannot_write, new_temporary, no_links
from intertwine.storage.untrusted import require_ordinary
from intertwine.wording import counted

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

# First bytes of other files that are often named as an array.
_OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file with git lfs pull",
    b"PK\x03\x04": "a zip, such as an .npz; name it .npz, or save each array with numpy.save",
    b"\x93NUMPY": "one array of NumPy; name it .npy",
}
# What parsing a damaged header can raise: it is a Python literal that names a dtype.
_HEADER_ERRORS = (
    ValueError,
    SyntaxError,
    TypeError,
    OverflowError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)


class NpyFile:
    """A two-dimensional floating-point `.npy` file, read by rows.

    Opening reads its header alone. FileFormatError when it is no `.npy`, holds objects, or is
    shorter than its header says; InputError when it is not (n, d) floating point. It may begin at
    byte `start` of the file, as one does that an archive holds as it is.
    """

    def __init__(self, path: str | os.PathLike[str], *, start: int = 0) -> None:
        self.path = Path(path)
        self.shape, self.dtype, self.fortran, self.offset = _read_header(self.path, start)
        require_vectors(str(self.path), self.shape, self.dtype)
        self._row_bytes = self.shape[1] * self.dtype.itemsize

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return int(self.shape[0])

    @property
    def dim(self) -> int:
        """Dimension d."""
        return int(self.shape[1])

    def read(self, rows: range | Array) -> Array:
        """Return some rows, (k, d), in the file's dtype and native byte order.

        `rows` is a contiguous range, or (k,) row numbers in any order. FileFormatError when the
        file became shorter since it was opened.
        """
        features = np.empty((len(rows), self.dim), self.dtype)
        if len(rows):
            with self.path.open("rb", buffering=0) as file:
                fill = self._fill_columns if self.fortran else self._fill_rows
                fill(file, features, rows)
        return features.astype(self.dtype.newbyteorder("="), copy=False)

    def _fill_rows(self, file: FileIO, features: Array, rows: range | Array) -> None:
        for position, first, count in runs_of(rows):
            file.seek(self.offset + first * self._row_bytes)
            read_into(features[position : position + count], file, self.path)

    def _fill_columns(self, file: FileIO, features: Array, rows: range | Array) -> None:
        """Fill one column after another, the order of a column-major file."""
        index = np.asarray(rows)
        first = int(index.min())
        column = np.empty(int(index.max()) + 1 - first, self.dtype)
        for j in range(self.dim):
            file.seek(self.offset + (j * self.n_rows + first) * self.dtype.itemsize)
            read_into(column, file, self.path)
            features[:, j] = column[index - first]


def require_vectors(where: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise InputError unless a shape and a type are those of (n, d) floating-point features."""
    if len(shape) != 2 or shape[1] == 0:
        hint = "; an array of another kind is no NAME.npy: labels are labels.npy, ids are ids.txt"
        raise InputError(
            f"{where}: got shape {shape}, expected (n, d) with d ≥ 1" + hint * (len(shape) == 1)
        )
    if dtype.kind != "f" or dtype.itemsize not in {2, 4, 8}:
        raise InputError(
            f"{where}: got dtype {dtype}, expected float16, float32 or float64; save "
            "array.astype(numpy.float32) instead"
        )


def read_vector(path: Path) -> Array:
    """Return a whole one-dimensional integer `.npy` file as int64.

    FileFormatError when it is no `.npy`, holds objects, or is cut; InputError for another shape or
    type, and for a number beyond int64.
    """
    shape, dtype, _, offset = _read_header(path)
    if len(shape) != 1 or dtype.kind not in "iu":
        raise InputError(
            f"{path}: got {'text' if dtype.kind in 'USV' else dtype} of shape {shape}, expected (n,) "
            "integers, the number of each row's class in the order of the heads, from 0"
        )
    values = np.fromfile(path, dtype, count=shape[0], offset=offset)
    large = np.flatnonzero(values > np.iinfo(np.int64).max)
    if large.size:
        raise InputError(
            f"{path}: got {values[large[0]]} in row {large[0]}, expected integers below 2^63"
        )
    return values.astype(np.int64)


class RowFile:
    """One space's `.npy`, made by `make_array`, open for writing rows anywhere.

    InputError when its size is not that of n rows of this dimension and dtype.
    """

    def __init__(self, path: Path, n: int, dim: int, dtype: str) -> None:
        self.path, self.dim, self.dtype = path, dim, np.dtype(dtype)
        self.row_bytes = dim * self.dtype.itemsize
        self.offset = path.stat().st_size - n * self.row_bytes
        if self.offset != len(_header((n, dim), dtype)):
            raise InputError(
                f"{path}: has another size than its {counted(n, 'row')}; remove it and run again"
            )
        self._file = open(path, "r+b", buffering=0, opener=no_links)  # noqa: SIM115
        self._lock = threading.Lock()

    def write(self, start: int, rows: Array) -> None:
        """Write (k, d) contiguous rows from row `start` on; from any thread.

        InputError when the disk is full or fails.
        """
        data: memoryview[int] = memoryview(rows.view(np.uint8).reshape(-1).data)
        try:
            at = self.offset + start * self.row_bytes
            while data:
                written = self._write_at(data, at)
                data, at = data[written:], at + written
        except OSError as error:
            raise self._failed(error) from error

    def _write_at(self, data: memoryview[int], at: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._file.fileno(), data, at)
        with self._lock:  # pragma: no cover - other systems
            self._file.seek(at)
            return self._file.write(data)

    def read(self, start: int, stop: int) -> Array:
        """Return rows start … stop−1 as (k, d)."""
        rows = np.empty((stop - start, self.dim), self.dtype)
        self._file.seek(self.offset + start * self.row_bytes)
        read_into(rows, self._file, self.path)
        return rows

    def sync(self) -> None:
        """Return when what was written is on disk; InputError when the disk is full or fails."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> InputError:
        return InputError(
            f"cannot write {self.path}: {error.strerror}; rows marked complete remain, "
            "the same command continues from there"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_into(target: Array, file: FileIO, path: Path) -> None:
    """Fill a contiguous array from an unbuffered file, or raise a FileFormatError at its end."""
    data: memoryview[int] = target.reshape(-1).view(np.uint8).data
    while data:
        count = file.readinto(data)
        if not count:
            raise FileFormatError(f"{path}: truncated while it was read")
        data = data[count:]


def make_array(path: Path, shape: tuple[int, int], dtype: str) -> Path:
    """Make a `.npy` of zeros with all its room on disk, under a temporary name next to `path`.

    The caller renames the file that is returned. InputError when the disk is full or cannot be
    written.
    """
    header = _header(shape, dtype)
    temporary = None
    try:
        temporary, handle = new_temporary(path, PART)
        with os.fdopen(handle, "wb", buffering=0) as file:
            file.write(header)
            size = len(header) + shape[0] * shape[1] * np.dtype(dtype).itemsize
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # pragma: no cover - other systems
                file.truncate(size)
            os.fsync(file.fileno())
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error
    return temporary


def _read_header(path: Path, start: int = 0) -> tuple[tuple[int, ...], np.dtype[Any], bool, int]:
    require_ordinary(path)
    try:
        # NumPy warns of headers that Python 2 wrote; their numbers are as good.
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
            file.seek(start)
            version = npy_format.read_magic(file)
            read = (
                npy_format.read_array_header_1_0
                if version == (1, 0)
                else npy_format.read_array_header_2_0
            )
            shape, fortran, dtype = read(file)
            offset = file.tell()
            size = path.stat().st_size
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from error
    except _HEADER_ERRORS as error:
        raise FileFormatError(f"{path}: not a .npy file, or cut short{looks_like(path)}") from error
    if dtype.hasobject:
        raise FileFormatError(f"{path}: holds Python objects, which are never unpickled")
    if min(shape, default=0) < 0:
        raise FileFormatError(f"{path}: got shape {shape}, which no array has")
    expected = offset + dtype.itemsize * math.prod(shape)
    if size < expected:
        raise FileFormatError(
            f"{path}: truncated: {counted(size, 'byte')}, expected {expected} for shape {shape}"
        )
    return shape, dtype, fortran, offset


def looks_like(path: Path, *, but: str = ".npy") -> str:
    """Return what the first bytes of a file, which is not `but` what it is called, show it to be."""
    with path.open("rb") as file:
        start = file.read(64)
    for mark, words in _OTHERS.items():
        if start.startswith(mark) and not (but == ".npz" and mark.startswith(b"PK")):
            return f": it is {words}"
    return "" if start else ": it is empty"


def _header(shape: tuple[int, int], dtype: str) -> bytes:
    buffer = BytesIO()
    descr = npy_format.dtype_to_descr(np.dtype(dtype))
    npy_format.write_array_header_1_0(
        buffer, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def runs_of(rows: range | Array) -> list[tuple[int, int, int]]:
    """Cut row numbers into contiguous runs: (position in the output, first row, count)."""
    if len(rows) == 0:
        return []
    if isinstance(rows, range):
        return [(0, rows.start, len(rows))]
    starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)
    counts = np.diff(starts, append=len(rows))
    return [(int(s), int(rows[s]), int(c)) for s, c in zip(starts, counts, strict=True)]
