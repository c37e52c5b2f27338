"""Reading a FAISS index, and building one like it for vectors of another dimension."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.storage.untrusted import require_ordinary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from intertwine.numerics.arrays import Array
    from intertwine.storage.npy import NpyFile

EXTRA = "faiss"
# What files of binary indexes begin with.
BINARY = "IB"
# A vector inside an index is at most so many times as long as the file: one bit may stand for a number.
EXPANSION = 64
LEAST_LIMIT = 1 << 24
# Files up to this size are read rather than mapped: where one is cut FAISS tells more surely.
WHOLE_BYTES = 1 << 30


def read_index(path: Path) -> Any:
    """Return the index in a file; FileFormatError when it is none, or cut."""
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
    """Make FAISS refuse a file that claims to hold far more than it can, where it knows how."""
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
    """Return FAISS's message, without the place in its source."""
    text = " ".join(str(error).split())
    return text.rpartition("Error: ")[2][-200:] if "Error: " in text else text[-200:]


# Vectors learnt from: FAISS wants 39 to 256 a centroid, and a product quantiser has 256 of them.
ROWS_A_LIST = 64
LEAST_TRAINING = 256 * 64
ADD_ROWS = 1 << 15


def empty_like(index: Any, dim: int, name: str) -> Any:
    """Return an index of the same kind and settings for another dimension, with nothing in it."""
    faiss = import_extra("faiss", "faiss")
    index = faiss.downcast_index(index)
    for kind, make in _kinds(faiss).items():
        # Exactly this kind: what is derived from it may hold more.
        if type(index) is kind:
            made = make(index, dim, name)
            for setting in ("nprobe", "k_factor"):
                if hasattr(index, setting):
                    setattr(made, setting, getattr(index, setting))
            return made
    raise InputError(
        f"{name}: cannot tell how to build {type(index).__name__} anew; say it as FAISS writes it: "
        "faiss:FILE?factory=STRING, for example factory=HNSW32"
    )


def _kinds(faiss: Any) -> dict[Any, Callable[[Any, int, str], Any]]:
    """Return the functions that build each kind of index like another one."""
    return {
        faiss.IndexFlatIP: _flat,
        faiss.IndexFlatL2: _flat,
        faiss.IndexFlat: _flat,
        faiss.IndexHNSWFlat: _hnsw,
        faiss.IndexHNSWSQ: _hnsw,
        faiss.IndexScalarQuantizer: _scalar,
        faiss.IndexIVFFlat: _lists,
        faiss.IndexIVFScalarQuantizer: _lists,
        faiss.IndexIDMap: _id_map,
        faiss.IndexIDMap2: _id_map,
        faiss.IndexRefineFlat: _refine,
    }


def _flat(index: Any, dim: int, _: str) -> Any:
    return import_extra("faiss", "faiss").IndexFlat(dim, index.metric_type)


def _scalar(index: Any, dim: int, _: str) -> Any:
    faiss = import_extra("faiss", "faiss")
    return faiss.IndexScalarQuantizer(dim, index.sq.qtype, index.metric_type)


def _hnsw(index: Any, dim: int, _: str) -> Any:
    faiss = import_extra("faiss", "faiss")
    links = index.hnsw.nb_neighbors(1)
    if isinstance(index, faiss.IndexHNSWSQ):
        quantiser = faiss.downcast_index(index.storage).sq.qtype
        made = faiss.IndexHNSWSQ(dim, quantiser, links, index.metric_type)
    else:
        made = faiss.IndexHNSWFlat(dim, links, index.metric_type)
    made.hnsw.efConstruction = index.hnsw.efConstruction
    made.hnsw.efSearch = index.hnsw.efSearch
    return made


def _lists(index: Any, dim: int, name: str) -> Any:
    faiss = import_extra("faiss", "faiss")
    coarse = empty_like(index.quantizer, dim, name)
    given: tuple[Any, ...] = (coarse, dim, index.nlist)
    if isinstance(index, faiss.IndexIVFScalarQuantizer):
        given += (index.sq.qtype, index.metric_type, index.by_residual)
        made = faiss.IndexIVFScalarQuantizer(*given)
    else:
        made = faiss.IndexIVFFlat(*given, index.metric_type)
    made.cp.spherical = index.cp.spherical
    return made


def _id_map(index: Any, dim: int, name: str) -> Any:
    return type(index)(empty_like(index.index, dim, name))


def _refine(index: Any, dim: int, name: str) -> Any:
    faiss = import_extra("faiss", "faiss")
    return faiss.IndexRefineFlat(empty_like(index.base_index, dim, name))


def from_factory(text: str, dim: int, metric: int, *, with_ids: bool, name: str) -> Any:
    """Return the empty index that FAISS's own short form describes."""
    faiss = import_extra("faiss", "faiss")
    try:
        index = faiss.index_factory(dim, text, metric)
    except RuntimeError as error:
        raise InputError(
            f"{name}: got factory {text!r}, which FAISS refuses ({reason_of(error)})"
        ) from None
    takes_ids = isinstance(index, faiss.IndexIDMap) or faiss.try_extract_index_ivf(index)
    return index if takes_ids or not with_ids else faiss.IndexIDMap2(index)


def fill(index: Any, rows: NpyFile, ids: Array | None, name: str) -> None:
    """Train an index on some of the vectors, spread evenly, and add all of them."""
    faiss = import_extra("faiss", "faiss")
    lists = faiss.try_extract_index_ivf(_inside(faiss, index))
    wanted = max(LEAST_TRAINING, ROWS_A_LIST * (lists.nlist if lists is not None else 0))
    try:
        if not index.is_trained:
            chosen = np.unique(
                np.linspace(0, rows.n_rows - 1, min(wanted, rows.n_rows)).astype(int)
            )
            index.train(rows.read(chosen))
        for start in range(0, rows.n_rows, ADD_ROWS):
            part = range(start, min(rows.n_rows, start + ADD_ROWS))
            if ids is None:
                index.add(rows.read(part))
            else:
                index.add_with_ids(rows.read(part), ids[part.start : part.stop])
    except RuntimeError as error:
        raise InputError(f"{name}: FAISS cannot build the index ({reason_of(error)})") from None


def _inside(faiss: Any, index: Any) -> Any:
    """Return the index inside what keeps ids."""
    is_map = isinstance(index, faiss.IndexIDMap)
    return faiss.downcast_index(index.index) if is_map else index
