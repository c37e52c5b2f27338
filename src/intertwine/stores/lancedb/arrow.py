"""Columns of a LanceDB table as arrays and back, and its errors as one line."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError, IntertwineError
from intertwine.extras import import_extra
from intertwine.stores.masking import hidden, one_clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from intertwine.numerics.arrays import Array

EXTRA = "lancedb"
# The vector field's metadata hold the note of a migration under this name.
NOTE = b"intertwine"
# In the schema's metadata: which model LanceDB is to embed texts with, which a map makes untrue.
EMBEDDING = b"embedding_functions"
# In a field's metadata: its values are blobs.
BLOB_FLAG = b"lance-encoding:blob"
LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class Columns:
    """The columns of a table that matter, with the dimension of its vectors and its Arrow schema."""

    id: str
    vector: str
    dim: int
    schema: Any

    @property
    def number(self) -> Any:
        """The type of a vector's numbers."""
        return self.schema.field(self.vector).type.value_type

    @property
    def ids_are_numbers(self) -> bool:
        """Whether ids are integers; otherwise they are text."""
        types = import_extra("pyarrow", EXTRA).types
        return bool(types.is_integer(self.schema.field(self.id).type))

    @property
    def note(self) -> str | None:
        """The note of a migration at the vectors."""
        text = (self.schema.field(self.vector).metadata or {}).get(NOTE)
        return None if text is None else text.decode()

    def noted(self, dim: int, text: str) -> Any:
        """Return the schema of a table that holds vectors of another dimension, with a note."""
        pa = import_extra("pyarrow", EXTRA)
        old = self.schema.field(self.vector)
        new = pa.field(
            old.name,
            pa.list_(self.number, dim),
            nullable=True,
            metadata={**(old.metadata or {}), NOTE: text.encode()},
        )
        rest = {k: v for k, v in (self.schema.metadata or {}).items() if k != EMBEDDING}
        place = self.schema.get_field_index(self.vector)
        return self.schema.set(place, new).with_metadata(rest)


def find_columns(schema: Any, vector: str | None, key: str, name: str) -> Columns:
    """Return the columns that matter; the dimension is 0 where the schema does not state it."""
    types = import_extra("pyarrow", EXTRA).types
    if key not in schema.names:
        raise InputError(
            f"{name}: there is no column {key!r} to be the id, only {', '.join(schema.names)}; "
            "name one that tells rows apart: id=COLUMN"
        )
    if not types.is_integer(schema.field(key).type) and not _is_text(schema.field(key).type):
        raise InputError(
            f"{name}: id {key!r} is of type {schema.field(key).type}, expected integers or text"
        )
    found = [field.name for field in schema if _holds_vectors(field.type)]
    if vector is None and len(found) != 1:
        raise InputError(
            f"{name}: got {len(found)} columns of vectors ({', '.join(found) or 'none'}), expected "
            "one; say which: vector=COLUMN"
        )
    vector = found[0] if vector is None else vector
    if vector not in found:
        raise InputError(
            f"{name}: there is no column of vectors {vector!r}, only {', '.join(found) or 'none'}"
        )
    kind = schema.field(vector).type
    return Columns(key, vector, getattr(kind, "list_size", 0), schema)


def _is_text(kind: Any) -> bool:
    types = import_extra("pyarrow", EXTRA).types
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _holds_vectors(kind: Any) -> bool:
    types = import_extra("pyarrow", EXTRA).types
    lists = types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind)
    return bool(lists and types.is_floating(kind.value_type))


def blob_columns(schema: Any) -> list[str]:
    """Return the columns whose values LanceDB keeps outside the table."""
    return [
        field.name
        for field in schema
        if BLOB_FLAG in (field.metadata or {})
        or (field.metadata or {}).get(b"ARROW:extension:name", b"").startswith(b"lance.blob")
        or str(getattr(field.type, "extension_name", "")).startswith("lance.blob")
    ]


def common_dimension(pages: Iterable[Any], name: str) -> int:
    """Return the one dimension of vectors whose type states none."""
    pa = import_extra("pyarrow", EXTRA)
    found: dict[int, int] = {}
    for page in pages:
        sizes = pa.compute.list_value_length(page).drop_null().to_numpy()
        for dim, count in zip(*np.unique(sizes, return_counts=True), strict=True):
            found[int(dim)] = found.get(int(dim), 0) + int(count)
    if len(found) != 1:
        text = ", ".join(f"{count} of dimension {dim}" for dim, count in sorted(found.items()))
        raise InputError(
            f"{name}: got vectors of several dimensions, or none ({text or 'none'}), expected one "
            "dimension; set what is not of this model to null"
        )
    return next(iter(found))


def to_array(column: Any, dim: int) -> Array:
    """Return a column of vectors as (n, dim), a row of NaN where there is none."""
    pa = import_extra("pyarrow", EXTRA)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    there = column.is_valid().to_numpy(zero_copy_only=False)
    numbers: Array = column.drop_null().flatten().to_numpy(zero_copy_only=False)
    if len(numbers) != dim * there.sum():
        raise InputError(f"got vectors of another dimension than {dim} in some rows, expected none")
    if there.all():
        return numbers.reshape(-1, dim)
    vectors = np.full((len(column), dim), np.nan, numbers.dtype)
    vectors[there] = numbers.reshape(-1, dim)
    return vectors


def to_column(vectors: Array, number: Any) -> Any:
    """Return vectors, (n, d), as a column of a type that must hold their numbers.

    Rows of NaN become null.
    """
    pa = import_extra("pyarrow", EXTRA)
    with np.errstate(over="ignore"):
        typed = np.ascontiguousarray(vectors, number.to_pandas_dtype())
    absent = np.isnan(vectors[:, 0])
    if not np.isfinite(typed[~absent]).all():
        raise InputError(f"mapped vectors have numbers that do not fit a column of type {number}")
    return pa.FixedSizeListArray.from_arrays(
        pa.array(typed.ravel()), vectors.shape[1], mask=pa.array(absent)
    )


@contextmanager
def one_line() -> Iterator[None]:
    """Raise errors of LanceDB and Arrow as an InputError of one line."""
    arrow = import_extra("pyarrow", EXTRA)
    try:
        yield
    except IntertwineError:
        raise
    except (
        ValueError,
        RuntimeError,
        OSError,
        LookupError,
        TypeError,
        arrow.ArrowException,
    ) as error:
        text = one_clean_line(hidden((str(error).splitlines() or [type(error).__name__])[0], ()))
        raise InputError(f"LanceDB: {text[:LONGEST_MESSAGE]}; what was committed stays") from None
