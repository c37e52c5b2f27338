"""A `.npy` file made at its final size and filled by rows, in any order."""

from __future__ import annotations

import os
import threading
from io import BytesIO
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.lib import format as npy_format

from intertwine.errors import InputError
from intertwine.files import cannot_write, new_temporary, no_links
from intertwine.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.arrays import Array


class RowFile:
    """One space's `.npy`, open for writing rows anywhere.

    Parameters
    ----------
    path
        A file that `make_array` made.
    n, dim, dtype
        What it holds.

    Raises
    ------
    InputError
        When its size is another.
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

        Raises
        ------
        InputError
            When the disk is full or fails.
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
        data = memoryview(rows.view(np.uint8).reshape(-1).data)
        while data:
            data = data[self._file.readinto(data) :]
        return rows

    def sync(self) -> None:
        """Return when what was written is on disk.

        Raises
        ------
        InputError
            When the disk is full or fails.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> InputError:
        return InputError(
            f"cannot write {self.path}: {error.strerror}; rows marked complete are kept, "
            "the same command goes on from there"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _header(shape: tuple[int, int], dtype: str) -> bytes:
    buffer = BytesIO()
    descr = npy_format.dtype_to_descr(np.dtype(dtype))
    npy_format.write_array_header_1_0(
        buffer, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def make_array(path: Path, shape: tuple[int, int], dtype: str) -> Path:
    """Make a `.npy` of zeros at its final size under a temporary name, room on disk included.

    Parameters
    ----------
    path
        Where it is to stand.
    shape, dtype
        What it holds.

    Returns
    -------
    temporary
        Where it stands until the caller renames it.

    Raises
    ------
    InputError
        When the disk is full or cannot be written.
    """
    header = _header(shape, dtype)
    temporary = None
    try:
        temporary, handle = new_temporary(path, ".part")
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
