"""Speed of a migration compared with the store's own copy of the same rows, and its memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import migration_stores as stores
import numpy as np

from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate.run import MigrateOptions, migrate
from intertwine.spaces import Space

if TYPE_CHECKING:
    from collections.abc import Callable

D = 384
REPEATS = 7
GROUP = 20_000


def turned(work: Path) -> Path:
    """Write a map between two spaces of the same dimension, so that input and output have the same size."""
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((D, D)))[0]
    linear_map = LinearMap(rotation, np.zeros(D), Space("a", D), Space("b", D), "a rotation")
    linear_map.save(work / "turned.safetensors")
    return work / "turned.safetensors"


def vectors(n: int) -> np.ndarray:
    """Return made-up vectors of length 1."""
    rows = np.random.default_rng(1).standard_normal((n, D)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def speed(work: Path, n: int) -> dict[str, Any]:
    """Compare with PostgreSQL's and Parquet's own copies, in turn."""
    data, texts = (
        vectors(n),
        [f"the text of item {i}, about as long as a sentence" for i in range(n)],
    )
    return {"pgvector": _postgres(work, data, texts), "parquet": _parquet(work, data, texts)}


def _postgres(work: Path, data: np.ndarray, texts: list[str]) -> dict[str, Any]:
    import psycopg

    ours, copies, through = [], [], []
    with stores.postgres(work) as uri, psycopg.connect(uri, autocommit=True) as connection:
        base = f"pgvector:{uri.partition(':')[2]}&metric=cosine&table=items&column="
        for _ in range(REPEATS):
            stores.load_table(uri, "plain", data, texts)
            copies.append(_timed(partial(_copy_column, connection)))
            through.append(_timed(partial(_copy_through, connection, uri)))
            stores.load_table(uri, "items", data, texts)
            ours.append(_migrate(f"{base}emb", f"{base}new", work))
    return {
        "rows": len(data),
        "ours": ours,
        "update_in_the_server": copies,
        "copy_out_and_in": through,
        "to_update": _ratio([each["convert"] for each in ours], copies),
        "to_copy": _ratio([each["convert"] for each in ours], through),
    }


def _migrate(source: str, target: str, work: Path) -> dict[str, float]:
    """Return the seconds of a migration: conversion, and checks."""
    options = MigrateOptions(force=True)
    seconds: dict[str, float] = migrate(source, target, turned(work), options=options)["seconds"]
    return seconds


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _copy_column(connection: Any) -> None:
    """Copy the column inside the server: no row leaves it."""
    connection.execute(f"ALTER TABLE plain ADD COLUMN new vector({D})")
    connection.execute("UPDATE plain SET new = emb")


def _copy_through(connection: Any, uri: str) -> None:
    """Copy the rows out and into a separate table, by COPY through this program."""
    import psycopg

    connection.execute("DROP TABLE IF EXISTS other")
    connection.execute(f"CREATE TABLE other (id bigint PRIMARY KEY, body text, emb vector({D}))")
    with (
        psycopg.connect(uri, autocommit=True) as reading,
        reading.cursor().copy(
            "COPY (SELECT id, body, emb FROM plain) TO STDOUT (FORMAT BINARY)"
        ) as out,
        connection.cursor().copy("COPY other FROM STDIN (FORMAT BINARY)") as into,
    ):
        for data in out:
            into.write(data)


def _parquet(work: Path, data: np.ndarray, texts: list[str]) -> dict[str, Any]:
    from pyarrow import parquet as library

    ours, copies = [], []
    library.write_table(
        stores.table(data, texts, "emb"), work / "rows.parquet", row_group_size=GROUP
    )
    for _ in range(REPEATS):
        copies.append(_timed(partial(_copy_parquet, work)))
        for left in (work / "out.parquet", *work.glob(".out*")):
            left.unlink(missing_ok=True)
        addresses = [f"parquet:{work / name}.parquet#emb" for name in ("rows", "out")]
        ours.append(_migrate(*addresses, work))
    return {
        "rows": len(data),
        "ours": ours,
        "copy": copies,
        "to_copy": _ratio([each["convert"] for each in ours], copies),
    }


def _copy_parquet(work: Path) -> None:
    """Copy a file with pyarrow, one row group after the other, until it is on disk."""
    from pyarrow import parquet as library

    file = library.ParquetFile(work / "rows.parquet")
    with library.ParquetWriter(work / "copy.parquet", file.schema_arrow) as writer:
        for batch in file.iter_batches(GROUP):
            writer.write_batch(batch)
    with (work / "copy.parquet").open("rb+") as written:
        os.fsync(written.fileno())


def memory(work: Path, n: int) -> dict[str, Any]:
    """Return the peak memory, MiB, of migrating a Parquet file of n / 4 rows and one of n."""
    from pyarrow import parquet as library

    map_file, peaks = turned(work), {}
    for rows in (n // 4, n):
        file = work / f"memory{rows}.parquet"
        table = stores.table(vectors(rows), [f"item {i}" for i in range(rows)], "emb")
        library.write_table(table, file, row_group_size=GROUP)
        line = [str(Path(sys.executable).with_name("intertwine")), "migrate", f"parquet:{file}#emb"]
        line += [f"parquet:{work / f'moved{rows}.parquet'}#emb", "--map", str(map_file), "--force"]
        code = "import resource,subprocess,sys;subprocess.run(sys.argv[1:],check=True,stdout=2);"
        code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        done = subprocess.run([sys.executable, "-c", code, *line], check=True, capture_output=True)
        peaks[str(rows)] = int(done.stdout.split()[-1]) / 1024
    peaks["this_program"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peaks
