"""Reading a FAISS index file, and what FAISS says when it cannot."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import FileFormatError
from intertwine.extras import import_extra
from intertwine.untrusted import require_ordinary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from intertwine.arrays import Array

EXTRA = "faiss"
# What files of binary indexes begin with.
BINARY = "IB"
# A vector inside an index is at most so many times as long as the file: one bit may stand for a number.
EXPANSION = 64
LEAST_LIMIT = 1 << 24
# Files up to this size are read rather than mapped: where one is cut FAISS tells more surely.
WHOLE_BYTES = 1 << 30


def read_index(path: Path) -> Any:
    """Return the index in a file.

    Raises
    ------
    FileFormatError
        When it is none, or cut.
    """
    faiss = import_extra("faiss", EXTRA)
    require_ordinary(path)
    try:
        size = path.stat().st_size
        flags = getattr(faiss, "IO_FLAG_MMAP_IFC", 0) if size > WHOLE_BYTES else 0
        with _limited(faiss, size):
            return faiss.read_index(str(path), flags)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from error
    except (RuntimeError, MemoryError) as error:
        kind = _kind(path) if path.is_file() else ""
        if kind.startswith(BINARY):
            raise FileFormatError(
                f"{path}: is a binary index of FAISS ({kind}), whose vectors are bits; expected an "
                "index of numbers"
            ) from None
        raise FileFormatError(f"{path}: no FAISS index, or cut ({reason_of(error)})") from None


def _kind(path: Path) -> str:
    """Return the four letters that a file of FAISS begins with."""
    with path.open("rb") as file:
        return file.read(4).decode("ascii", "replace")


@contextmanager
def _limited(faiss: Any, size: int) -> Iterator[None]:
    """Have FAISS refuse a file that claims to hold far more than it can, where it knows how."""
    if not hasattr(faiss, "set_deserialization_vector_byte_limit"):
        yield
        return
    before = faiss.get_deserialization_vector_byte_limit()
    faiss.set_deserialization_vector_byte_limit(max(LEAST_LIMIT, EXPANSION * size))
    try:
        yield
    finally:
        faiss.set_deserialization_vector_byte_limit(before)


def ids_in_lists(faiss: Any, lists: Any) -> Array:
    """Return the ids that the lists of an IVF index hold, sorted."""
    held = lists.invlists
    parts = [np.empty(0, np.int64)]
    for number in range(lists.nlist):
        size = held.list_size(number)
        if size:
            parts.append(faiss.rev_swig_ptr(held.get_ids(number), size).copy())
    return np.sort(np.concatenate(parts))


def reason_of(error: Exception) -> str:
    """Return what FAISS says, without the place in its source."""
    text = " ".join(str(error).split())
    return text.rpartition("Error: ")[2][-200:] if "Error: " in text else text[-200:]
