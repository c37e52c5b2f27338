"""Reads table files with bytes changed at random; what a library does not survive ends this process."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from intertwine.errors import IntertwineError
from intertwine.inputs.tables.parquet_table import ParquetTable
from intertwine.vectors.tables import TableVectors

N, D = 30, 4


def table(*, fixed):
    """Return a table of many types of columns."""
    rows = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
    kind = pa.list_(pa.float32(), D) if fixed else pa.list_(pa.float32())
    columns = {
        "id": np.arange(N),
        "text": [f"text {i}" for i in range(N)],
        "word": pa.array(["ab"[i % 2] for i in range(N)]).dictionary_encode(),
        "data": [bytes([i]) * 5 for i in range(N)],
        "v": pa.array(rows.tolist(), kind),
    }
    return pa.table(columns)


def whole_files(folder, kind):
    """Return the bytes of whole files of a kind."""
    found = []
    for fixed in (True, False):
        for codec in ("none", "zstd", "lz4"):
            path = folder / f"whole{kind}"
            if kind == ".parquet":
                pq.write_table(
                    table(fixed=fixed),
                    path,
                    compression=codec,
                    row_group_size=13,
                    write_page_index=True,
                )
            else:
                options = pa.ipc.IpcWriteOptions(compression=None if codec == "none" else codec)
                new = pa.ipc.new_stream if kind == ".stream.arrow" else pa.ipc.new_file
                given = table(fixed=fixed)
                with new(str(path), given.schema, options=options) as writer:
                    writer.write_table(given, max_chunksize=13)
            found.append(path.read_bytes())
    return found


def damaged(data, chance):
    """Return bytes with a few of them changed, most of them near the end, or cut."""
    if chance.random() < 0.05:
        return data[: chance.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        near = chance.choice([len(data), len(data), 300, 1200, 2500])
        at = chance.randrange(max(0, len(data) - near), len(data))
        bit = changed[at] ^ (1 << chance.randrange(8))
        changed[at] = chance.choice([0, 255, 127, 128, bit, chance.randrange(256)])
    return bytes(changed)


def use_vectors(path):
    """Read all vectors, and all other columns, of a file."""
    vectors = TableVectors(path, None)
    n = min(vectors.n_rows, 1000)
    for _, _, read in vectors.pieces([(i, min(i + 7, n)) for i in range(0, n, 7)]):
        read()
    assert vectors.codecs is not None
    list(vectors.others([(0, n)]))


def use_table(path):
    """Read all columns of a table."""
    found = ParquetTable(path)
    found.columns(list(found.types))
    for name in found.types:
        found.cells(name, range(0, min(len(found), 100), 3))


def main(folder, kind, seed, count):
    """Read damaged files one after another; print how many were read and how many refused."""
    chance = random.Random(int(seed))  # noqa: S311 - nothing secret
    path = Path(folder) / f"damaged{kind}"
    uses = [use_vectors, use_table] if kind == ".parquet" else [use_vectors]
    files, refused = whole_files(Path(folder), kind), 0
    for number in range(int(count)):
        path.write_bytes(damaged(files[number % len(files)], chance))
        for use in uses:
            try:
                use(path)
            except IntertwineError as error:
                refused += 1
                if "\n" in str(error):
                    raise ValueError(str(error)) from error
    sys.stdout.write(f"refused {refused}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
