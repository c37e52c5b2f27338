"""Vectors in a `.npy` file, or as one tensor of a safetensors file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from intertwine.errors import FileFormatError, InputError
from intertwine.storage.npy import NpyFile, read_into, runs_of
from intertwine.storage.untrusted import require_ordinary
from intertwine.vectors.vector_file import ReadAnywhere
from intertwine.wording import named, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.numerics.arrays import Array

DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


class NpyVectors(ReadAnywhere, NpyFile):
    """A `.npy` file of (n, d) floating-point numbers."""


class SafetensorsVectors(ReadAnywhere):
    """One two-dimensional tensor of a safetensors file: `name`, or the only one when None.

    InputError when there is no such tensor, or it is not (n, d) floating point.
    """

    def __init__(self, path: Path, name: str | None) -> None:
        self.path = path
        require_ordinary(path)
        try:
            with safe_open(str(path), framework="numpy") as file:
                shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
            with path.open("rb") as raw:
                size = int.from_bytes(raw.read(8), "little")
                header: dict[str, Any] = json.loads(raw.read(size))
        except (OSError, SafetensorError, ValueError) as error:
            raise FileFormatError(
                f"{path}: no safetensors file, or cut ({one_line(error)})"
            ) from error
        flat = [key for key, shape in shapes.items() if len(shape) == 2]
        if name is None and len(flat) == 1:
            name = flat[0]
        if name is None or name not in flat:
            listed = named(f"{key} ({named(shape, 'a number')})" for key, shape in shapes.items())
            raise InputError(
                f"{path}: got tensors {listed}, expected one (n, d) tensor; name it: {path.name}#NAME"
            )
        facts = header[name]
        if facts["dtype"] not in DTYPES or not facts["shape"][1]:
            raise InputError(
                f"{path}: {name} is {facts['dtype']} of shape ({named(facts['shape'])}), expected (n, d) "
                "of F16, F32 or F64, d at least 1"
            )
        self.dtype = np.dtype(DTYPES[facts["dtype"]])
        self.n_rows, self.dim = facts["shape"]
        self._offset = 8 + size + facts["data_offsets"][0]

    def read(self, rows: range | Array) -> Array:
        """Return some rows, (k, d), of a contiguous range or of (k,) row numbers in any order."""
        features = np.empty((len(rows), self.dim), self.dtype)
        with self.path.open("rb", buffering=0) as file:
            for position, first, count in runs_of(rows):
                file.seek(self._offset + first * self.dim * self.dtype.itemsize)
                read_into(features[position : position + count], file, self.path)
        return features
