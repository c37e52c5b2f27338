"""Files of vectors in every format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from pathlib import Path


def table_of(rows, *, fixed: bool = True, ids: bool = True) -> pa.Table:
    """Return a table of ids, vectors and a note a row."""
    numbers = pa.array(rows.reshape(-1))
    if fixed:
        vectors = pa.FixedSizeListArray.from_arrays(numbers, rows.shape[1])
    else:
        vectors = pa.ListArray.from_arrays(np.arange(len(rows) + 1) * rows.shape[1], numbers)
    columns = {"vector": vectors}
    if ids:
        columns = {"id": [f"r{i}" for i in range(len(rows))], **columns}
        columns["note"] = pa.array([None if i % 3 else {"k": i} for i in range(len(rows))])
    return pa.table(columns)


def save_vectors(path: Path, rows, *, group: int = 70, fixed: bool = True) -> Path:
    """Write (n, d) rows in the format that a name's ending says."""
    if path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".safetensors":
        save_file({"x": np.arange(3), "vectors": rows}, path)
    elif path.suffix == ".parquet":
        pq.write_table(table_of(rows, fixed=fixed), path, row_group_size=group)
    else:
        pyarrow.feather.write_feather(
            table_of(rows, fixed=fixed), path, chunksize=group, compression="uncompressed"
        )
    return path


def load_vectors(path: Path):
    """Return the (n, d) rows of a file in any format."""
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return next(iter(load_file(path).values()))
    table = load_table(path)
    column = next(f.name for f in table.schema if hasattr(f.type, "list_size"))
    vectors = table.column(column).combine_chunks()
    return vectors.flatten().to_numpy().reshape(len(table), -1)


def load_table(path: Path) -> pa.Table:
    """Return a Parquet or Arrow file as a table."""
    if path.suffix == ".parquet":
        return pq.read_table(path)
    return pyarrow.feather.read_table(path)
