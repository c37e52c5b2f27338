"""Vectors in a column of a Parquet or Arrow file, and its other columns."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.storage.row_ranges import cut_on_grid
from intertwine.storage.untrusted import require_ordinary
from intertwine.wording import counted, named, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from intertwine.numerics.arrays import Array
    from intertwine.vectors.vector_file import Piece

DTYPES = {"halffloat": "float16", "float": "float32", "double": "float64"}
PARQUET = ".parquet"
# What an Arrow file begins with, and a stream does not.
FILE_MAGIC = b"ARROW1"
# What a stream ends with: nothing else shows a cut between two batches.
END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
# What to do about a row without a vector.
GAPS = "; leave such rows out, or write .parquet or .arrow, which keep them without a vector"
# Rows of a Parquet row group that are decoded at a time: a file may be one group of a million.
DECODED_ROWS = 8192
# Bytes of a column that are read at a time; without a limit a group's would be held whole.
READ_BYTES = 1 << 22


class TableVectors:
    """A column of lists of floating-point numbers, all of one length; the only one when None.

    The file is Parquet, or Arrow: a file (Feather version 2) or stream; `suffix` is the format
    where the name does not show it. With `gaps` a null vector is a row of NaN, and a file without
    any vector has dimension 0; otherwise both are errors. InputError when there is no such column,
    or no row from which to read its dimension.
    """

    def __init__(
        self, path: Path, column: str | None, *, suffix: str | None = None, gaps: bool = False
    ) -> None:
        self.path, self.gaps = path, gaps
        self._arrow = import_extra("pyarrow", "arrow")
        self._batches = _Batches(path, parquet=(suffix or path.suffix) == PARQUET)
        schema = self._batches.schema
        lists = [field.name for field in schema if _number_type(field.type) in DTYPES]
        if column is None and len(lists) == 1:
            column = lists[0]
        if column not in lists:
            raise InputError(
                f"{path}: got columns {named(schema.names)}, of which {named(lists)} hold lists of numbers; "
                f"expected one, or name it: {path.name}#COLUMN"
            )
        self.column, self.n_rows = str(column), self._batches.n_rows
        kind = schema.field(self.column).type
        self.dtype = np.dtype(DTYPES[_number_type(kind)])
        size = _list_size(kind, f"{path}: {self.column}")
        if size < 1 and not self.n_rows and not gaps:
            raise InputError(f"{path}: got no rows, expected some that show the dimension")
        self.dim = size if size > 0 else self._first_length()
        if self.dim < 1 and not gaps:
            raise InputError(
                f"{path}: {self.column} of row 0 is empty or null, expected d numbers{GAPS}"
            )

    def _first_length(self) -> int:
        """Return how many numbers the first vector has; 0 where there is none."""
        rows = min(self.n_rows, 1)
        ranges = cut_on_grid(0, self.n_rows if self.gaps else rows, DECODED_ROWS)
        for _, table in self._batches.tables(ranges, [self.column]):
            for chunk in table.column(self.column).chunks:
                lengths = self._arrow.compute.list_value_length(_lists(chunk)).drop_null()
                if len(lengths):
                    return int(lengths[0].as_py())
        return 0

    @property
    def is_stream(self) -> bool:
        """Whether an Arrow file is a stream, without the directory at its end."""
        return self._batches.stream

    @property
    def other_columns(self) -> list[str]:
        """Names of the columns other than the vectors."""
        return [name for name in self._batches.schema.names if name != self.column]

    def read(self, rows: range) -> Array:
        """Return some rows, (k, d)."""
        return next(self.pieces([(rows.start, rows.stop)]))[2]()

    def pieces(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Piece]:
        """Yield ascending ranges of rows; the file is read once, in order, on this thread."""
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
        """Yield ascending ranges of rows as Arrow tables without the vectors, each read once."""
        for _, table in self._batches.tables(ranges, self.other_columns):
            yield table

    def table_with(self, rows: range, vectors: Any, name: str) -> Any:
        """Return some rows as an Arrow table, with other vectors in place of their own."""
        del name
        table = next(self.others([(rows.start, rows.stop)]))
        place = self._batches.schema.names.index(self.column)
        return table.add_column(place, self.column, vectors)

    def _array(self, column: Any, first_row: int) -> Array:
        """Return a column's lists as (k, d)."""
        parts = [np.empty((0, self.dim), self.dtype)]
        for chunk in map(_lists, column.chunks):
            if self.gaps:
                parts.append(self._with_gaps(chunk, first_row))
                first_row += len(chunk)
                continue
            if chunk.null_count:
                row = first_row + int(np.flatnonzero(chunk.is_null().to_numpy(False))[0])
                raise InputError(f"{self.path}: {self.column} of row {row} is null{GAPS}")
            parts.append(self._numbers(chunk, first_row + np.arange(len(chunk))))
            first_row += len(chunk)
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def _with_gaps(self, chunk: Any, first_row: int) -> Array:
        """Return lists as (k, d), null ones as rows of NaN."""
        present = np.flatnonzero(chunk.is_valid().to_numpy(False))
        vectors = np.full((len(chunk), self.dim), np.nan, self.dtype)
        if len(present):
            vectors[present] = self._numbers(chunk.drop_null(), first_row + present)
            unclear = present[np.isnan(vectors[present, 0])]
            if len(unclear):
                raise InputError(
                    f"{self.path}: {self.column} of row {first_row + int(unclear[0])} holds NaN, "
                    "expected numbers; make a row without a vector null"
                )
        return vectors

    def _numbers(self, chunk: Any, rows: Array) -> Array:
        """Return lists, none of them null, as (k, d); `rows` are their numbers for errors."""
        lengths = self._arrow.compute.list_value_length(chunk).to_numpy()
        if (lengths != self.dim).any():
            at = int(np.flatnonzero(lengths != self.dim)[0])
            raise InputError(
                f"{self.path}: {self.column} of row {rows[at]} has {counted(lengths[at], 'number')}, expected "
                f"{self.dim} as in the first row"
            )
        numbers = chunk.flatten()
        if numbers.null_count:
            at = int(np.flatnonzero(numbers.is_null().to_numpy(False))[0]) // self.dim
            raise InputError(f"{self.path}: {self.column} of row {rows[at]} holds a null number")
        vectors: Array = numbers.to_numpy().reshape(-1, self.dim)
        return vectors


class _Batches:
    """The rows of a table file in groups that are decoded at once."""

    def __init__(self, path: Path, *, parquet: bool) -> None:
        self.path, self.parquet = path, parquet
        require_ordinary(path)
        self.stream, self._read = False, 0
        self._arrow = import_extra("pyarrow", "arrow")
        import_extra("pyarrow.compute", "arrow")
        # For a name that is no UTF-8, repeated or absent, Python raises its own errors.
        self._errors = (OSError, self._arrow.ArrowException, UnicodeDecodeError, KeyError)
        try:
            if parquet:
                self._file = import_extra("pyarrow.parquet", "arrow").ParquetFile(
                    path, buffer_size=READ_BYTES, pre_buffer=False
                )
                self.schema = self._file.schema_arrow
                facts = self._file.metadata
                sizes = [facts.row_group(g).num_rows for g in range(facts.num_row_groups)]
            else:
                sizes = self._open_arrow()
            self.schema.names  # noqa: B018 - raises what reading would
        except self._errors as error:
            raise FileFormatError(f"{path}: cannot be read ({one_line(error)})") from error
        self.edges = [0, *accumulate(sizes)]
        self.n_rows = self.edges[-1]

    def _open_arrow(self) -> list[int]:
        """Open an Arrow file, or a stream; return how many rows its batches have."""
        ipc = import_extra("pyarrow.ipc", "arrow")
        source = self._arrow.memory_map(str(self.path))
        self.stream = source.read(len(FILE_MAGIC)) != FILE_MAGIC
        source.seek(0)
        self._file = (ipc.open_stream if self.stream else ipc.open_file)(source)
        self.schema = self._file.schema
        if not self.stream:
            return [self._batch(b).num_rows for b in range(self._file.num_record_batches)]
        source = self._arrow.memory_map(str(self.path))
        if source.size() < len(END) or source.read_at(len(END), source.size() - len(END)) != END:
            raise FileFormatError(f"{self.path}: cannot be read (an Arrow stream without its end)")
        sizes: list[int] = []
        with suppress(StopIteration):
            while True:
                sizes.append(self._batch(len(sizes)).num_rows)
        return sizes

    @property
    def codecs(self) -> dict[str, str]:
        """The compression of a Parquet file's columns, by their paths inside it."""
        if not (self.parquet and self.n_rows):
            return {}
        facts = self._file.metadata
        # A row of each first: where facts of a column are damaged reading it raises an error, while
        # asking for these facts would end the process.
        next(self.tables([(0, 1)], self.schema.names))
        columns = [facts.row_group(0).column(c) for c in range(facts.num_columns)]
        return {each.path_in_schema: each.compression for each in columns}

    def _batch(self, number: int) -> Any:
        """Return a batch of an Arrow file, with its buffers' lengths checked."""
        batch = self._next_of_stream(number) if self.stream else self._file.get_batch(number)
        batch.validate()
        return batch

    def _next_of_stream(self, number: int) -> Any:
        """Return a batch of a stream, which is reread from its beginning for an earlier one."""
        if number < self._read:
            source = self._arrow.memory_map(str(self.path))
            self._file, self._read = import_extra("pyarrow.ipc", "arrow").open_stream(source), 0
        while True:
            batch = self._file.read_next_batch()
            self._read += 1
            if self._read > number:
                return batch

    def tables(
        self, ranges: Iterable[tuple[int, int]], names: list[str]
    ) -> Iterator[tuple[int, Any]]:
        """Yield some columns of ascending ranges of rows, as (first row, table)."""
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
        except self._errors as error:
            raise FileFormatError(f"{self.path}: cannot be read ({one_line(error)})") from error

    def _decoded(self, group: int, names: list[str]) -> Iterator[tuple[int, Any]]:
        """Yield a group in parts, as (first row, table)."""
        first = self.edges[group]
        if not self.parquet:
            table = self._arrow.Table.from_batches([self._batch(group)]).select(names)
            # Arrow ends the process where an offset in a list or a text leads astray.
            table.validate(full=True)
            yield first, table
            return
        for batch in self._file.iter_batches(DECODED_ROWS, row_groups=[group], columns=names):
            yield first, self._arrow.Table.from_batches([batch])
            first += batch.num_rows
        raise FileFormatError(f"{self.path}: holds fewer rows than its metadata states")


def is_tensor(kind: Any) -> bool:
    """Return whether a type is Arrow's of tensors of one shape."""
    return isinstance(kind, import_extra("pyarrow", "arrow").FixedShapeTensorType)


def _number_type(kind: Any) -> str:
    """Return the type of a list's numbers, or an empty text where it is no list."""
    types = import_extra("pyarrow.types", "arrow")
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return ""  # of single numbers
    return str(kind.value_type) if hasattr(kind, "value_type") else ""


def _list_size(kind: Any, name: str) -> int:
    """Return how many numbers all lists of a type have; −1 where the type does not fix it.

    InputError for tensors of several dimensions.
    """
    if not is_tensor(kind):
        return int(getattr(kind, "list_size", -1))
    if len(kind.shape) != 1:
        raise InputError(f"{name} holds tensors of shape {kind.shape}, expected vectors")
    return int(kind.shape[0])


def _lists(chunk: Any) -> Any:
    """Return an array as one of lists: tensors of one dimension are stored as such."""
    return chunk.storage if is_tensor(chunk.type) else chunk
