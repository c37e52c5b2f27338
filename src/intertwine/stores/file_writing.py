"""Writing a table file as another one is, with other vectors in one column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.extras import import_extra
from intertwine.files import atomic_path
from intertwine.row_grid import cut_on_grid
from intertwine.threads import ahead
from intertwine.vectors.tables import PARQUET, is_tensor

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.features.npy import NpyFile
    from intertwine.vectors.tables import TableVectors

# Bytes of vectors in a row group, which many readers hold in memory whole.
GROUP_BYTES = 1 << 25
# What pyarrow reads and writes under two names.
CODECS = {"UNCOMPRESSED": "NONE", "LZ4_RAW": "LZ4"}


def write_like(source: TableVectors, rows: NpyFile, output: Path) -> None:
    """Write a table file: the source's columns, types and metadata, and new vectors.

    Parameters
    ----------
    source
        The file whose other columns go into the output as they are.
    rows
        The new vectors, one a row of the source.
    output
        The file to write, atomically, in the source's format.
    """
    arrow = import_extra("pyarrow", "arrow")
    schema = like_schema(source, rows.dim)
    group = max(1, GROUP_BYTES // (rows.dim * rows.dtype.itemsize))
    ranges = cut_on_grid(0, rows.n_rows, group)
    with atomic_path(output) as temporary, _open(temporary, schema, source) as writer:
        read = (rows.read(range(start, stop)) for start, stop in ranges)
        for others, vectors in ahead(zip(source.others(ranges), read, strict=True)):
            columns = {name: others.column(name) for name in source.other_columns}
            columns[source.column] = _lists(vectors, schema.field(source.column).type)
            table = arrow.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
            writer.write_table(table)


def like_schema(source: TableVectors, dim: int) -> Any:
    """Return the source's schema, its vectors of another dimension."""
    arrow = import_extra("pyarrow", "arrow")
    place = source.schema.names.index(source.column)
    field = source.schema.field(place)
    if is_tensor(field.type):
        field = field.with_type(
            arrow.fixed_shape_tensor(field.type.value_type, [dim], field.type.dim_names)
        )
    elif getattr(field.type, "list_size", -1) > 0:
        field = field.with_type(arrow.list_(field.type.value_field, dim))
    return source.schema.set(place, field)


def _lists(vectors: Any, kind: Any) -> Any:
    """Return (k, d) numbers as an Arrow array of lists of a type, rows of NaN as null ones."""
    arrow = import_extra("pyarrow", "arrow")
    if is_tensor(kind):
        return arrow.ExtensionArray.from_storage(kind, _lists(vectors, kind.storage_type))
    d = vectors.shape[1]
    absent = np.isnan(vectors[:, 0])
    if getattr(kind, "list_size", -1) > 0:
        mask = arrow.array(absent) if absent.any() else None
        return arrow.FixedSizeListArray.from_arrays(
            arrow.array(vectors.reshape(-1)), type=kind, mask=mask
        )
    large = arrow.types.is_large_list(kind)
    edges = np.append(0, np.cumsum(np.where(absent, 0, d)))
    offsets = arrow.array(edges, arrow.int64() if large else arrow.int32())
    if absent.any():
        # A null offset makes a list null.
        offsets = arrow.array(edges, offsets.type, mask=np.append(absent, False))
    lists = arrow.LargeListArray if large else arrow.ListArray
    return lists.from_arrays(offsets, arrow.array(vectors[~absent].reshape(-1)), type=kind)


def _open(path: Path, schema: Any, source: TableVectors) -> Any:
    if path.suffix != PARQUET:
        ipc = import_extra("pyarrow.ipc", "arrow")
        return (ipc.new_stream if source.is_stream else ipc.new_file)(str(path), schema)
    # Vectors neither repeat nor shrink: trying costs more than their writing.
    others = {
        column: CODECS.get(codec, codec)
        for column, codec in source.codecs.items()
        if not column.startswith(f"{source.column}.")
    }
    return import_extra("pyarrow.parquet", "arrow").ParquetWriter(
        path,
        schema,
        use_dictionary=[*others] or False,
        compression=others or "none",
        write_statistics=[*others] or False,
    )
