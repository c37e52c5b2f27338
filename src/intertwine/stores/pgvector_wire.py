"""pgvector's binary format, and errors of PostgreSQL as one line without secrets."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.address import hidden

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.arrays import Array

EXTRA = "pgvector"
# What numbers of each of pgvector's dense types are on the wire.
NUMBERS = {"vector": ">f4", "halfvec": ">f2"}
# Two bytes of dimension, two unused.
HEADER = 4
SECONDS_TO_CONNECT = 15


class Sent(bytes):
    """A vector as pgvector receives it."""

    __slots__ = ()


def connect(uri: str, secrets: Sequence[str]) -> Any:
    """Return a connection that reads and writes vectors as bytes.

    Raises
    ------
    InputError
        Where the server cannot be reached or refuses, or has no pgvector.
    MissingExtraError
        When psycopg is not installed.
    """
    psycopg = import_extra("psycopg", EXTRA)
    with one_line(secrets):
        connection = psycopg.connect(uri, autocommit=True, connect_timeout=SECONDS_TO_CONNECT)
    try:
        with one_line(secrets):
            _teach(connection)
    except InputError:
        connection.close()
        raise
    return connection


def _teach(connection: Any) -> None:
    """Register pgvector's types on a connection."""
    types = import_extra("psycopg.types", EXTRA)
    adapt = import_extra("psycopg.adapt", EXTRA)
    binary = import_extra("psycopg.pq", EXTRA).Format.BINARY

    class Load(adapt.Loader):  # type: ignore[name-defined, misc] # optional
        """Gives a vector's bytes as they come."""

        format = binary

        def load(self, data: Any) -> bytes:
            return bytes(data)

    class Dump(adapt.Dumper):  # type: ignore[name-defined, misc] # optional
        """Sends bytes that are a vector already."""

        format = binary

        def dump(self, obj: Sent) -> bytes:
            return obj

    known = []
    for name in NUMBERS:
        info = types.TypeInfo.fetch(connection, name)
        if info is None:
            if name == "vector":
                raise InputError(
                    "the database has no pgvector; run CREATE EXTENSION vector in it first"
                )
            continue
        info.register(connection)
        connection.adapters.register_loader(info.oid, Load)
        known.append(type(f"Dump{name}", (Dump,), {"oid": info.oid}))
    # The last one serves parameters, whose type the statement says.
    for dumper in (*known, Dump):
        connection.adapters.register_dumper(Sent, dumper)


@contextmanager
def one_line(secrets: Sequence[str]) -> Iterator[None]:
    """Turn what PostgreSQL says into an error of one line, in which passwords are hidden.

    Raises
    ------
    InputError
        In place of psycopg's errors.
    """
    psycopg = import_extra("psycopg", EXTRA)
    try:
        yield
    except (psycopg.Error, OSError) as error:
        text = hidden(" ".join(str(error).split()), secrets)
        raise InputError(f"PostgreSQL: {text}; what was committed stays") from None


def to_array(values: Sequence[bytes | None], kind: str, dim: int, ids: Sequence[Any]) -> Array:
    """Return received vectors as (n, dim), a row of NaN where there is none.

    Raises
    ------
    InputError
        For a vector of another dimension, naming the item.
    """
    number = np.dtype(NUMBERS[kind])
    size = HEADER + dim * number.itemsize
    missing = np.nan * np.ones(dim, number)
    absent = missing.tobytes()
    for item, value in zip(ids, values, strict=True):
        if value is not None and len(value) != size:
            got = int.from_bytes(value[:2], "big")
            raise InputError(
                f"item {item}: got a vector of {got} numbers, expected {dim} as in the others; a "
                "column of one dimension is needed"
            )
    data = b"".join(absent if value is None else value[HEADER:] for value in values)
    native = number.newbyteorder("=")
    return np.frombuffer(data, number).reshape(-1, dim).astype(native)


def vector_type(kind: str, dim: int) -> np.dtype[Any]:
    """Return a vector as it stands on the wire."""
    return np.dtype([("dim", ">u2"), ("unused", ">u2"), ("numbers", NUMBERS[kind], (dim,))])


def pack(rows: Array, vectors: Array, kind: str) -> None:
    """Write vectors, (n, d), into n of `vector_type`; rows of NaN stay such.

    Raises
    ------
    InputError
        For numbers that do not fit the column's type.
    """
    with np.errstate(over="ignore"):
        numbers = vectors.astype(np.dtype(NUMBERS[kind]).newbyteorder("="), copy=False)
    finite = np.isfinite(numbers)
    if not finite.all() and not (finite.all(axis=1) | np.isnan(vectors[:, 0])).all():
        raise InputError(f"mapped vectors have numbers that do not fit a column of type {kind}")
    rows["dim"], rows["unused"], rows["numbers"] = vectors.shape[1], 0, numbers


def to_sent(vectors: Array, kind: str) -> list[Sent | None]:
    """Return vectors, (n, d), as pgvector receives them one by one; rows of NaN as NULL.

    Raises
    ------
    InputError
        For numbers that do not fit the column's type.
    """
    rows = np.empty(len(vectors), vector_type(kind, vectors.shape[1]))
    pack(rows, vectors, kind)
    absent = np.isnan(vectors[:, 0])
    return [None if gone else Sent(row.tobytes()) for row, gone in zip(rows, absent, strict=True)]
