"""Vectors in a column of a Parquet or Arrow file; the other columns travel with them."""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from intertwine.arrays import Array
    from intertwine.vectors.vector_file import Piece

DTYPES = {"halffloat": "float16", "float": "float32", "double": "float64"}
PARQUET = ".parquet"
# Rows of a Parquet row group that are decoded at a time: a file may be one group of a million.
DECODED_ROWS = 8192
# Bytes of a column that are read at a time; without a limit a group's would be held whole.
READ_BYTES = 1 << 22


class TableVectors:
    """A column of lists of numbers, all of one length.

    Parameters
    ----------
    path
        A Parquet file, or an Arrow (Feather version 2) file.
    column
        The column; the only one of lists of floating-point numbers when None.
    suffix
        Which of the formats it is, where its name does not say.

    Raises
    ------
    FileFormatError
        When the file is not what its name says, or cut.
    InputError
        When there is no such column, or it has no rows to tell its dimension by.
    """

    def __init__(self, path: Path, column: str | None, *, suffix: str | None = None) -> None:
        self.path = path
        self._arrow = import_extra("pyarrow", "arrow")
        self._batches = _Batches(path, parquet=(suffix or path.suffix) == PARQUET)
        schema = self._batches.schema
        lists = [field.name for field in schema if _number_type(field.type) in DTYPES]
        if column is None and len(lists) == 1:
            column = lists[0]
        if column not in lists:
            raise InputError(
                f"{path}: got columns {schema.names}, of which {lists} hold lists of numbers; "
                f"expected one, or name it: {path.name}#COLUMN"
            )
        self.column, self.n_rows = str(column), self._batches.n_rows
        kind = schema.field(self.column).type
        self.dtype = np.dtype(DTYPES[_number_type(kind)])
        size = getattr(kind, "list_size", -1)
        if size < 1 and not self.n_rows:
            raise InputError(f"{path}: got no rows, expected some to tell the dimension by")
        self.dim = size if size > 0 else len(self._batches.first(self.column) or [])
        if self.dim < 1:
            raise InputError(f"{path}: {self.column} of row 0 is empty, expected d numbers")

    @property
    def other_columns(self) -> list[str]:
        """Names of the columns beside the vectors."""
        return [name for name in self._batches.schema.names if name != self.column]

    def read(self, rows: range) -> Array:
        """Return some rows, (k, d)."""
        return next(self.pieces([(rows.start, rows.stop)]))[2]()

    def pieces(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Piece]:
        """Give ascending ranges of rows; the file is read once, in order, on this thread."""
        for start, table in self._batches.tables(ranges, [self.column]):
            features = self._array(table.column(self.column), start)
            yield start, start + len(features), partial(np.asarray, features)

    @property
    def schema(self) -> Any:
        """The Arrow schema of the file."""
        return self._batches.schema

    @property
    def codecs(self) -> dict[str, str]:
        """How a Parquet file's columns are compressed, by their paths inside it."""
        return self._batches.codecs

    def others(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Any]:
        """Give ascending ranges of rows as Arrow tables without the vectors, each read once."""
        for _, table in self._batches.tables(ranges, self.other_columns):
            yield table

    def beside(self, rows: range, vectors: Any, name: str) -> Any:
        """Return some rows as an Arrow table, with other vectors in place of their own."""
        del name
        table = next(self.others([(rows.start, rows.stop)]))
        place = self._batches.schema.names.index(self.column)
        return table.add_column(place, self.column, vectors)

    def _array(self, column: Any, first_row: int) -> Array:
        """Return a column's lists as (k, d)."""
        parts = [np.empty((0, self.dim), self.dtype)]
        for chunk in column.chunks:
            if chunk.null_count:
                row = first_row + int(np.flatnonzero(chunk.is_null().to_numpy(False))[0])
                raise InputError(
                    f"{self.path}: {self.column} of row {row} is null; leave such rows out"
                )
            lengths = self._arrow.compute.list_value_length(chunk).to_numpy()
            if (lengths != self.dim).any():
                at = int(np.flatnonzero(lengths != self.dim)[0])
                raise InputError(
                    f"{self.path}: {self.column} of row {first_row + at} has {lengths[at]} numbers, "
                    f"expected {self.dim} as in the first row"
                )
            numbers = chunk.flatten()
            if numbers.null_count:
                at = int(np.flatnonzero(numbers.is_null().to_numpy(False))[0]) // self.dim
                raise InputError(
                    f"{self.path}: {self.column} of row {first_row + at} holds a null number"
                )
            parts.append(numbers.to_numpy().reshape(-1, self.dim))
            first_row += len(chunk)
        return parts[1] if len(parts) == 2 else np.concatenate(parts)


class _Batches:
    """The rows of a table file in groups that are decoded at once."""

    def __init__(self, path: Path, *, parquet: bool) -> None:
        self.path, self.parquet = path, parquet
        self.codecs: dict[str, str] = {}
        self._arrow = import_extra("pyarrow", "arrow")
        import_extra("pyarrow.compute", "arrow")
        try:
            if parquet:
                self._file = import_extra("pyarrow.parquet", "arrow").ParquetFile(
                    path, buffer_size=READ_BYTES, pre_buffer=False
                )
                self.schema = self._file.schema_arrow
                facts = self._file.metadata
                sizes = [facts.row_group(g).num_rows for g in range(facts.num_row_groups)]
                if sizes:
                    columns = [facts.row_group(0).column(c) for c in range(facts.num_columns)]
                    self.codecs = {each.path_in_schema: each.compression for each in columns}
            else:
                source = self._arrow.memory_map(str(path))
                self._file = import_extra("pyarrow.ipc", "arrow").open_file(source)
                self.schema = self._file.schema
                sizes = [
                    self._file.get_batch(b).num_rows for b in range(self._file.num_record_batches)
                ]
        except (OSError, self._arrow.ArrowException) as error:
            raise FileFormatError(f"{path}: cannot be read ({_one_line(error)})") from error
        self.edges = [0, *accumulate(sizes)]
        self.n_rows = self.edges[-1]

    def first(self, column: str) -> Any:
        """Return a column's value in the first row."""
        return next(self.tables([(0, 1)], [column]))[1].column(column)[0].as_py()

    def tables(
        self, ranges: Iterable[tuple[int, int]], names: list[str]
    ) -> Iterator[tuple[int, Any]]:
        """Give some columns of ascending ranges of rows, as (first row, table)."""
        empty = self.schema.empty_table().select(names)
        held: tuple[int, int, Any] = (-1, 0, empty)  # group, first row, rows
        decoded: Iterator[tuple[int, Any]] = iter(())
        try:
            for start, stop in ranges:
                parts, row = [], start
                while row < stop:
                    group = bisect_right(self.edges, row) - 1
                    if group != held[0] or row < held[1]:
                        decoded = self._decoded(group, names)
                        held = (group, self.edges[group], empty)
                    while row >= held[1] + held[2].num_rows:
                        held = (group, *next(decoded))
                    parts.append(held[2].slice(row - held[1], stop - row))
                    row += parts[-1].num_rows
                yield start, self._arrow.concat_tables(parts) if parts else empty
        except (OSError, self._arrow.ArrowException) as error:
            raise FileFormatError(f"{self.path}: cannot be read ({_one_line(error)})") from error

    def _decoded(self, group: int, names: list[str]) -> Iterator[tuple[int, Any]]:
        """Give a group in parts, as (first row, table)."""
        first = self.edges[group]
        if not self.parquet:
            batch = self._file.get_batch(group)
            yield first, self._arrow.Table.from_batches([batch]).select(names)
            return
        for batch in self._file.iter_batches(DECODED_ROWS, row_groups=[group], columns=names):
            yield first, self._arrow.Table.from_batches([batch])
            first += batch.num_rows
        raise FileFormatError(f"{self.path}: holds fewer rows than it says")


def _number_type(kind: Any) -> str:
    """Return the type of a list's numbers, or nothing where it is no list."""
    return str(kind.value_type) if hasattr(kind, "value_type") else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
