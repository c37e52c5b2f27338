"""Files of vectors, whatever their format: one file a format, behind one small interface."""

from __future__ import annotations

from intertwine.vectors.opening import FORMATS, open_vectors, split_name
from intertwine.vectors.vector_file import VectorFile
from intertwine.vectors.writing import write_vectors

__all__ = ["FORMATS", "VectorFile", "open_vectors", "split_name", "write_vectors"]
