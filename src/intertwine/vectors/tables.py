"""Vectors in a column of a Parquet or Arrow file; the other columns travel with them."""

from __future__ import annotations

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


class TableVectors:
    """A column of lists of numbers, all of one length.

    Parameters
    ----------
    path
        A Parquet file, or an Arrow (Feather version 2) file.
    column
        The column; the only one of lists of floating-point numbers when None.

    Raises
    ------
    FileFormatError
        When the file is not what its name says, or cut.
    InputError
        When there is no such column, or it has no rows to tell its dimension by.
    """

    def __init__(self, path: Path, column: str | None) -> None:
        self.path = path
        self._arrow = import_extra("pyarrow", "arrow")
        self._batches = _Batches(path)
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

    def beside(self, rows: range, vectors: Any, name: str) -> Any:
        """Return some rows as an Arrow table, with other vectors in place of their own."""
        del name
        table = next(self._batches.tables([(rows.start, rows.stop)], self.other_columns))[1]
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

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrow = import_extra("pyarrow", "arrow")
        import_extra("pyarrow.compute", "arrow")
        try:
            if path.suffix == PARQUET:
                self._file = import_extra("pyarrow.parquet", "arrow").ParquetFile(path)
                self.schema = self._file.schema_arrow
                facts = self._file.metadata
                sizes = [facts.row_group(g).num_rows for g in range(facts.num_row_groups)]
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
        try:
            held: tuple[int, Any] | None = None
            for start, stop in ranges:
                parts = []
                for group in range(len(self.edges) - 1):
                    low, high = self.edges[group], self.edges[group + 1]
                    if high <= start or stop <= low:
                        continue
                    if held is None or held[0] != group:
                        held = (group, self._group(group, names))
                    first = max(start, low)
                    parts.append(held[1].slice(first - low, min(stop, high) - first))
                empty = self.schema.empty_table().select(names)
                yield start, self._arrow.concat_tables(parts) if parts else empty
        except (OSError, self._arrow.ArrowException) as error:
            raise FileFormatError(f"{self.path}: cannot be read ({_one_line(error)})") from error

    def _group(self, group: int, names: list[str]) -> Any:
        if self.path.suffix == PARQUET:
            return self._file.read_row_group(group, columns=names)
        batch = self._file.get_batch(group)
        return self._arrow.Table.from_batches([batch]).select(names)


def _number_type(kind: Any) -> str:
    """Return the type of a list's numbers, or nothing where it is no list."""
    return str(kind.value_type) if hasattr(kind, "value_type") else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
