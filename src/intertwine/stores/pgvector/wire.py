"""Vectors in PostgreSQL's binary formats, and its errors as one line without secrets."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.untrusted import printable
from intertwine.stores.masking import hidden, one_clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from intertwine.numerics.arrays import Array

EXTRA = "pgvector"
# The types of columns that can be mapped, as users write them and as PostgreSQL calls them.
KINDS = {
    "vector": "vector",
    "halfvec": "halfvec",
    "real[]": "_float4",
    "double precision[]": "_float8",
}
# What numbers of each are on the wire.
NUMBERS = {"vector": ">f4", "halfvec": ">f2", "real[]": ">f4", "double precision[]": ">f8"}
# Arrays, with the number of the type of their elements, and their own.
ARRAYS = {"real[]": 700, "double precision[]": 701}
ARRAY_TYPES = {"real[]": 1021, "double precision[]": 1022}


class Sent(bytes):
    """A vector as pgvector receives it."""

    __slots__ = ()


def connect(uri: str, secrets: Sequence[str], name: str = "") -> Any:
    """Return a connection that reads and writes vectors as bytes.

    No error shows a secret; `name` is what it calls the database.
    """
    psycopg = import_extra("psycopg", EXTRA)
    with one_line(secrets, name):
        connection = psycopg.connect(
            uri,
            autocommit=True,
            # Behind a pooler the next statement may reach a session that has prepared nothing.
            prepare_threshold=None,
        )
    try:
        with one_line(secrets, name):
            _teach(connection)
    except InputError:
        connection.close()
        raise
    return connection


@dataclass(frozen=True)
class Extension:
    """The schema of pgvector's types and operators, and the numbers of the types by kind."""

    schema: str
    types: Mapping[str, int]


def find_extension(connection: Any) -> Extension:
    """Look pgvector up, which the database must have."""
    rows = connection.execute(
        "SELECT n.nspname, t.typname, t.oid FROM pg_catalog.pg_extension e "
        "JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace "
        "JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid AND t.typname IN ('vector', 'halfvec') "
        "WHERE e.extname = 'vector'"
    ).fetchall()
    if not rows:
        raise InputError("the database has no pgvector; run CREATE EXTENSION vector in it first")
    return Extension(rows[0][0], {**{name: oid for _, name, oid in rows}, **ARRAY_TYPES})


def _teach(connection: Any) -> None:
    """Register types of vectors on a connection, all by their numbers."""
    adapt = import_extra("psycopg.adapt", EXTRA)
    binary = import_extra("psycopg.pq", EXTRA).Format.BINARY

    class Load(adapt.Loader):  # type: ignore[name-defined, misc] # optional
        """Returns a vector's bytes as they come."""

        format = binary

        def load(self, data: Any) -> bytes:
            return bytes(data)

    class Dump(adapt.Dumper):  # type: ignore[name-defined, misc] # optional
        """Sends bytes that are a vector already."""

        format = binary

        def dump(self, obj: Sent) -> bytes:
            return obj

    for kind, oid in find_extension(connection).types.items():
        connection.adapters.register_loader(oid, Load)
        connection.adapters.register_dumper(Sent, type(f"Dump {kind}", (Dump,), {"oid": oid}))
    # The last one serves parameters, whose type the statement says.
    connection.adapters.register_dumper(Sent, Dump)


@contextmanager
def one_line(secrets: Sequence[str], name: str = "") -> Iterator[None]:
    """Raise PostgreSQL's errors as an InputError of one line, in which passwords are hidden."""
    psycopg = import_extra("psycopg", EXTRA)
    try:
        yield
    except (psycopg.Error, OSError, UnicodeError) as error:
        text = one_clean_line(hidden(str(error), secrets))
        at = f"{name}: " if name else ""
        raise InputError(f"PostgreSQL: {at}{text}; what was committed stays") from None


def to_array(values: Sequence[bytes | None], kind: str, dim: int, ids: Sequence[Any]) -> Array:
    """Return received vectors as (n, dim), a row of NaN where there is none."""
    form = vector_type(kind, dim)
    absent = np.zeros(1, form)
    numbers_of(absent, kind)[:] = np.nan
    blank = absent.tobytes()
    for item, value in zip(ids, values, strict=True):
        if value is not None and len(value) != form.itemsize:
            raise wrong_length(item, dim, kind)
    rows = np.frombuffer(b"".join(blank if value is None else value for value in values), form)
    present = np.array([value is not None for value in values], bool)
    return checked_numbers(rows, kind, ids, present)


def wrong_length(item: Any, dim: int, kind: str) -> InputError:
    """Return the error of a vector that is not as the others."""
    none = ", none of them NULL" if kind in ARRAYS else ""
    return InputError(
        f"item {printable(str(item))}: got a vector of other than {dim} numbers{none}, as the others have; a column "
        "of one dimension is needed"
    )


def checked_numbers(
    rows: Array, kind: str, ids: Sequence[Any], present: Array | None = None
) -> Array:
    """Return the numbers of rows of `vector_type`, (n, dim), in native byte order.

    Infinity, or no number, which pgvector never holds but an array may, raises an error.
    """
    numbers = numbers_of(rows, kind)
    found = numbers.astype(numbers.dtype.newbyteorder("="))
    if kind in ARRAYS:
        odd = (rows["axes"] != 1) | (rows["flags"] != 0) | (rows["first"] != 1)
        bad = (odd | ~np.isfinite(found).all(axis=1)) & (True if present is None else present)
        if bad.any():
            item = ids[int(np.flatnonzero(bad)[0])]
            raise InputError(
                f"item {printable(str(item))}: its vector holds NaN or infinity, or its array does not begin at 1; set "
                "it to NULL, or embed it again"
            )
    return found


def vector_type(kind: str, dim: int) -> np.dtype[Any]:
    """Return the NumPy type of a vector on the wire."""
    if kind not in ARRAYS:
        return np.dtype([("dim", ">u2"), ("unused", ">u2"), ("numbers", NUMBERS[kind], (dim,))])
    element = [("size", ">i4"), ("number", NUMBERS[kind])]
    head = [(name, ">i4") for name in ("axes", "flags", "element", "length", "first")]
    return np.dtype([*head, ("items", element, (dim,))])


def numbers_of(rows: Array, kind: str) -> Array:
    """Return a view of the numbers of rows of `vector_type`, (n, dim)."""
    return rows["items"]["number"] if kind in ARRAYS else rows["numbers"]


def pack(rows: Array, vectors: Array, kind: str) -> None:
    """Write vectors, (n, d), into n of `vector_type`, which must hold them; rows of NaN stay such."""
    with np.errstate(over="ignore"):
        numbers = vectors.astype(np.dtype(NUMBERS[kind]).newbyteorder("="), copy=False)
    finite = np.isfinite(numbers)
    if not finite.all() and not (finite.all(axis=1) | np.isnan(vectors[:, 0])).all():
        raise InputError(f"mapped vectors have numbers that do not fit a column of type {kind}")
    dim = vectors.shape[1]
    if kind in ARRAYS:
        rows["axes"], rows["flags"], rows["element"] = 1, 0, ARRAYS[kind]
        rows["length"], rows["first"] = dim, 1
        rows["items"]["size"] = np.dtype(NUMBERS[kind]).itemsize
    else:
        rows["dim"], rows["unused"] = dim, 0
    numbers_of(rows, kind)[:] = numbers


def to_sent(vectors: Array, kind: str) -> list[Sent | None]:
    """Return vectors, (n, d), as the server receives them one by one; rows of NaN as NULL."""
    rows = np.empty(len(vectors), vector_type(kind, vectors.shape[1]))
    pack(rows, vectors, kind)
    absent = np.isnan(vectors[:, 0])
    return [None if gone else Sent(row.tobytes()) for row, gone in zip(rows, absent, strict=True)]
