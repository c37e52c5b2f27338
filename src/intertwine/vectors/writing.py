"""Writing rows of a `.npy` file in another format, with the input's other columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.extras import import_extra
from intertwine.storage.files import atomic_path
from intertwine.vectors.tables import PARQUET

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.storage.npy import NpyFile
    from intertwine.vectors.vector_file import VectorFile

SAFETENSORS = {"float16": "F16", "float32": "F32", "float64": "F64"}
# Bytes of vectors in a row group, which readers hold in memory whole.
GROUP_BYTES = 1 << 26
COPY_ROWS = 4096


def write_vectors(rows: NpyFile, output: Path, *, name: str, source: VectorFile) -> None:
    """Write vectors as safetensors, Parquet or Arrow, by the output's ending, in bounded memory.

    `name` is that of the tensor or column. The other columns of `source`, the file that the vectors
    come from, are copied into Parquet and Arrow.
    """
    with atomic_path(output) as temporary:
        if output.suffix == ".safetensors":
            _write_tensor(rows, temporary, name)
        else:
            _write_table(rows, temporary, name, source)


def _write_tensor(rows: NpyFile, path: Path, name: str) -> None:
    """Write one tensor; the library would hold it in memory."""
    size = rows.n_rows * rows.dim * rows.dtype.itemsize
    facts = {
        name: {
            "dtype": SAFETENSORS[rows.dtype.name],
            "shape": [rows.n_rows, rows.dim],
            "data_offsets": [0, size],
        }
    }
    header = json.dumps(facts).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, rows.n_rows, COPY_ROWS):
            part = range(start, min(rows.n_rows, start + COPY_ROWS))
            file.write(rows.read(part).data)


def _write_table(rows: NpyFile, path: Path, name: str, source: VectorFile) -> None:
    arrow = import_extra("pyarrow", "arrow")
    group = max(1, GROUP_BYTES // (rows.dim * rows.dtype.itemsize))
    sizes = range(0, rows.n_rows, group) or [0]
    writer: Any = None
    try:
        for start in sizes:
            part = range(start, min(rows.n_rows, start + group))
            block = rows.read(part)
            absent = np.isnan(block[:, 0])
            vectors = arrow.FixedSizeListArray.from_arrays(
                arrow.array(block.reshape(-1)),
                rows.dim,
                mask=arrow.array(absent) if absent.any() else None,
            )
            table = source.table_with(part, vectors, name)
            if writer is None:
                writer = _open_writer(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _open_writer(path: Path, schema: Any) -> Any:
    if path.suffix != PARQUET:
        return import_extra("pyarrow.ipc", "arrow").new_file(str(path), schema)
    # Vectors neither repeat nor shrink: trying to compress costs more than writing them.
    vectors = {field.name for field in schema if hasattr(field.type, "list_size")}
    others = [name for name in schema.names if name not in vectors]
    return import_extra("pyarrow.parquet", "arrow").ParquetWriter(
        path,
        schema,
        use_dictionary=others or False,
        compression=dict.fromkeys(others, "snappy") or "none",
        write_statistics=False,
    )
