"""Files that a migration makes beside those of its source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.parallel.threads import prefetch
from intertwine.storage.files import atomic_path, cannot_write
from intertwine.storage.row_ranges import cut_on_grid
from intertwine.stores.rows.switch import give_name
from intertwine.stores.rows.target import RowTarget, outputs_at
from intertwine.vectors.tables import PARQUET, TableVectors, is_tensor
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.storage.npy import NpyFile
    from intertwine.stores.address import Address
    from intertwine.stores.files.store import FileStore
    from intertwine.stores.store import MigrationRecord

# Bytes of vectors in a row group, which many readers hold in memory whole.
GROUP_BYTES = 1 << 25
# What pyarrow reads and writes under two names.
CODECS = {"UNCOMPRESSED": "NONE", "LZ4_RAW": "LZ4"}


def write_like(source: TableVectors, rows: NpyFile, output: Path) -> None:
    """Write a table file, atomically: all that the source has, and new vectors, one a row."""
    arrow = import_extra("pyarrow", "arrow")
    schema = like_schema(source, rows.dim)
    group = max(1, GROUP_BYTES // (rows.dim * rows.dtype.itemsize))
    ranges = cut_on_grid(0, rows.n_rows, group)
    with atomic_path(output) as temporary, _open(temporary, schema, source) as writer:
        read = (rows.read(range(start, stop)) for start, stop in ranges)
        for others, vectors in prefetch(zip(source.others(ranges), read, strict=True)):
            columns = {name: others.column(name) for name in source.other_columns}
            columns[source.column] = _lists(vectors, schema.field(source.column).type)
            table = arrow.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
            writer.write_table(table)


def like_schema(source: TableVectors, dim: int) -> Any:
    """Return the source's schema with vectors of another dimension."""
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


# What other programs write about the files of a dataset.
LISTS = ("_metadata", "_common_metadata", "_delta_log")


def target_of(source: FileStore, text: str, record: MigrationRecord) -> FileTarget:
    """Return the files that an address names, beside a source and of its column."""
    address = source.address.beside(text)
    address.only("metric")
    if address.part not in {"", source.column}:
        raise InputError(
            f"got target column {address.part!r}, expected {source.column!r} as in the source, whose "
            "readers find it by that name"
        )
    address = replace(address, part=source.column or "")
    return FileTarget(source, address, outputs_at(source, Path(address.place)), record)


class FileTarget(RowTarget):
    """Parquet, Arrow or `.npy` files as the source's, with their other columns."""

    def __init__(
        self, source: FileStore, address: Address, outputs: list[Path], record: MigrationRecord
    ) -> None:
        super().__init__(source, address, outputs, record)
        self._files = source
        self.making = "at once" if address.scheme == "npy" else "beside"

    def build(self, file: int, rows: NpyFile) -> None:
        """Write the file that is to hold some rows, atomically."""
        source, output = self._files.open_file(file), self.outputs[file]
        if isinstance(source, TableVectors):
            write_like(source, rows, output)
            return
        try:
            give_name(rows.path, output)
        except OSError as error:
            raise cannot_write(output, error) from error

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise where a name is taken; return warnings of files that describe the source's files."""
        paths = self._files.paths
        beside = [folder / name for folder in {path.parent for path in paths} for name in LISTS]
        beside += [self._files.root / name for name in LISTS]
        beside += [path.with_name(f".{path.name}.crc") for path in paths]
        found = sorted({str(path) for path in beside if path.exists()})
        warnings = [
            f"{name} says what the files beside it hold, which a switch makes untrue: write it again "
            "then, or remove it"
            for name in found[:1]
        ]
        if found[1:]:
            warnings.append(f"so do {len(found) - 1} more, such as {found[1]}")
        return warnings + super().require_ready(force=force)

    def opened(self) -> FileStore:
        """Return the finished files as a store."""
        return type(self._files)(self.address, self.outputs, self.metric)

    def described(self, path: Path) -> str:
        """Return in words how many rows a file holds."""
        return f"it holds {counted(self._files.open_path(path).n_rows, 'row')} now"
