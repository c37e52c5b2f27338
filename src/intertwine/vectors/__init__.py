"""Files of vectors in several formats, behind one small interface."""

from __future__ import annotations

from pathlib import Path

from intertwine.errors import InputError
from intertwine.vectors.arrays import NpyVectors, SafetensorsVectors
from intertwine.vectors.tables import TableVectors
from intertwine.vectors.vector_file import VectorFile
from intertwine.vectors.writing import write_vectors

__all__ = ["FORMATS", "VectorFile", "open_vectors", "split_name", "write_vectors"]

FORMATS = (".npy", ".safetensors", ".parquet", ".arrow", ".feather")


def split_name(path: Path) -> tuple[Path, str | None]:
    """Return a path and the tensor or column named after `#`, or None."""
    stem, mark, name = path.name.rpartition("#")
    if not mark or Path(stem).suffix not in FORMATS:
        return path, None
    return path.with_name(stem), name


def open_vectors(path: Path, *, gaps: bool = False) -> VectorFile:
    """Open a file of vectors, with the tensor or column after `#`.

    `.npy`, `.safetensors`, `.parquet`, `.arrow` or `.feather`; InputError for another ending, and
    where there are no such vectors. With `gaps`, null vectors of a table are rows of NaN rather
    than an error.
    """
    file, name = split_name(path)
    if file.suffix == ".safetensors":
        return SafetensorsVectors(file, name)
    if file.suffix in FORMATS[2:]:
        return TableVectors(file, name, gaps=gaps)
    if name is not None:
        raise InputError(f"got {path}, but a .npy file holds one array; leave out #{name}")
    return NpyVectors(file)
