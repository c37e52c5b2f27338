"""Tables that Arrow reads: Parquet files, whose large columns are streamed, and saved datasets."""

from __future__ import annotations

import re
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.inputs.rows import files_only, hidden, is_side_file
from intertwine.storage.untrusted import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_WORDS = {
    "string": "text",
    "large_string": "text",
    "string_view": "text",
    "binary": "bytes",
    "large_binary": "bytes",
    "binary_view": "bytes",
}
# Rows are decoded in blocks, of which the last few stay for threads that are a little behind.
BLOCK_ROWS = 64
BLOCKS_KEPT = 4
_READ_BYTES = 1 << 20
# Folders of a partitioned table, and how one spells a missing value.
_NAMED = re.compile("[^=]+=.*")
_NULL = "__HIVE_DEFAULT_PARTITION__"
_DATASETS_EXTRA = "datasets"


class ParquetTable:
    """Rows of a Parquet file, or of a folder of them in the order of their names; a `Table`.

    A column is read from front to back, page by page: memory does not grow with a row group, which
    some writers make as large as the file. Going back restarts a row group. In folders such as
    `label=cat`, as Hive and Spark make them, `label` is a column too. InputError when the files
    differ in their columns.
    """

    kind = "table"

    def __init__(self, path: Path) -> None:
        self.path = path
        arrow_error = import_extra("pyarrow", "arrow").ArrowException
        # Arrow does not check that text is UTF-8; Python does when it is read.
        self._errors = (arrow_error, OSError, UnicodeDecodeError)
        self._parquet = import_extra("pyarrow.parquet", "arrow")
        self._files = [path] if path.is_file() else parquet_files(path)
        self._groups: list[tuple[Path, int]] = []
        rows = [0]
        for number, file in enumerate(self._files):
            with self._opened(file) as opened:
                types = column_types(opened.schema_arrow)
                sizes = [
                    opened.metadata.row_group(group).num_rows
                    for group in range(opened.metadata.num_row_groups)
                ]
            if number == 0:
                self.types = types
            elif types != self.types:
                raise InputError(
                    f"{file}: got columns {_shown(types)}, expected those of "
                    f"{self._files[0].name}: {_shown(self.types)}"
                )
            self._groups += [(file, group) for group in range(len(sizes))]
            rows += sizes
        # Columns that folders name, and their value in each file; one inside the files goes before.
        self._folders = {
            name: values
            for name, values in _folder_columns(path, self._files).items()
            if name not in self.types
        }
        self.types |= dict.fromkeys(self._folders, "text")
        # The first row of each row group, and the number of rows.
        self._edges = np.cumsum(rows)
        self._streams: dict[str, _Stream] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return int(self._edges[-1])

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Return whole columns by name."""
        columns: dict[str, list[Any]] = {name: [] for name in names}
        inside = [name for name in names if name not in self._folders]
        for number, file in enumerate(self._files if names else []):
            with self._opened(file) as opened:
                batches = opened.iter_batches(columns=inside, use_threads=False) if inside else ()
                for batch in batches:
                    for name in inside:
                        columns[name] += batch.column(name).to_pylist()
                for name in self._folders.keys() & names:
                    columns[name] += [self._folders[name][number]] * opened.metadata.num_rows
        return columns

    def cells(self, name: str, rows: Sequence[int]) -> list[Any]:
        """Return some cells of a column."""
        if name in self._folders:
            files = [self._files.index(self._groups[self._group(row)][0]) for row in rows]
            return [self._folders[name][file] for file in files]
        with self._lock:
            return [self._cell(name, row) for row in rows]

    def class_names(self, name: str) -> None:
        """Return None: names of integer labels are not looked for in Parquet files."""

    def where(self, row: int) -> str:
        """Return the name of a row for an error: its file and its number there."""
        group = self._group(row)
        file = self._groups[group][0]
        first = next(i for i, (other, _) in enumerate(self._groups) if other == file)
        return f"{file}: row {row - self._edges[first]}"

    def _group(self, row: int) -> int:
        return int(np.searchsorted(self._edges, row, side="right")) - 1

    def _cell(self, name: str, row: int) -> Any:
        stream = self._streams.setdefault(name, _Stream())
        try:
            return self._from(stream, name, row)
        except self._errors as error:
            # A stream that failed half-way cannot be continued.
            del self._streams[name]
            raise InputError(f"{self.where(row)}: cannot be read ({_first_line(error)})") from error

    def _from(self, stream: _Stream, name: str, row: int) -> Any:
        for start, block in stream.blocks_kept:
            if start <= row < start + len(block):
                return block[row - start].as_py()
        group = self._group(row)
        near = stream.position <= row and group <= self._group(stream.position) + 1
        if not near or stream.file != self._groups[group][0]:
            stream.blocks, stream.file = self._blocks(group, name), self._groups[group][0]
            stream.position = int(self._edges[group])
        for block in stream.blocks:
            start, stream.position = stream.position, stream.position + len(block)
            stream.blocks_kept.append((start, block))
            if row < stream.position:
                return block[row - start].as_py()
        raise InputError(f"{self.where(row)}: not there any more; was the file replaced?")

    def _blocks(self, group: int, name: str) -> Iterator[Any]:
        """Yield a column from a row group to the end of its file."""
        file = self._groups[group][0]
        numbers = [number for other, number in self._groups[group:] if other == file]
        with self._parquet.ParquetFile(file, buffer_size=_READ_BYTES, pre_buffer=False) as opened:
            for batch in opened.iter_batches(
                batch_size=BLOCK_ROWS, row_groups=numbers, columns=[name], use_threads=False
            ):
                yield batch.column(name)

    @contextmanager
    def _opened(self, file: Path) -> Iterator[Any]:
        try:
            with self._parquet.ParquetFile(
                file, buffer_size=_READ_BYTES, pre_buffer=False
            ) as opened:
                yield opened
        except self._errors as error:
            raise FileFormatError(
                f"{file}: cannot be read as Parquet ({_first_line(error)})"
            ) from error


class DatasetTable:
    """A saved dataset, memory-mapped; a `Table`.

    Images are the bytes they were saved as: the library decodes nothing.
    """

    kind = "datasets"

    def __init__(self, path: Path) -> None:
        self.path = path
        arrow_error = import_extra("pyarrow", _DATASETS_EXTRA).ArrowException
        datasets = import_extra("datasets", _DATASETS_EXTRA)
        self._errors = (arrow_error, OSError, UnicodeDecodeError)
        self._valid: set[str] = set()
        try:
            self._dataset = datasets.load_from_disk(str(path)).with_format("arrow")
            # Lengths and buffers of every column; what they hold is looked at when it is read.
            self._dataset.data.validate()
        except (arrow_error, OSError, *DAMAGE) as error:
            raise FileFormatError(
                f"{path}: cannot be loaded as a saved dataset ({_one_line(error)})"
            ) from error
        self.types = column_types(self._dataset.features.arrow_schema)
        # Made once: the library hashes each selection of columns.
        self._views = {name: self._dataset.select_columns([name]) for name in self.types}

    def __len__(self) -> int:
        return len(self._dataset)

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Return whole columns by name."""
        return {name: self._read(name, slice(None)) for name in names}

    def cells(self, name: str, rows: Sequence[int]) -> list[Any]:
        """Return some cells of a column."""
        return self._read(name, list(rows))

    def _read(self, name: str, rows: Any) -> list[Any]:
        """Return cells of a column, once all of it is validated."""
        try:
            if name not in self._valid:
                # Arrow ends the process where an offset leads astray.
                self._dataset.data.column(name).validate(full=True)
                self._valid.add(name)
            return list(self._views[name][rows].column(name).to_pylist())
        except self._errors as error:
            raise FileFormatError(
                f"{self.path}: {name} cannot be read ({_one_line(error)})"
            ) from error

    def class_names(self, name: str) -> list[str] | None:
        """Return the names that an integer column numbers, where the dataset has them."""
        names = getattr(self._dataset.features[name], "names", None)
        return None if names is None else list(names)

    def where(self, row: int) -> str:
        """Return the name of a row for an error."""
        return f"{self.path}: row {row}"


def parquet_files(folder: Path) -> list[Path]:
    """Return the Parquet files, by name, of a folder of nothing but them, else none.

    In their place may be folders of them that are named such as `label=cat`.
    """
    files = files_only(folder, ".parquet")
    if files:
        return files
    try:
        inner = sorted(path for path in folder.iterdir() if not hidden(path.name))
    except OSError:
        return []
    # A folder such as _delta_log or _temporary shows that not all files count.
    inner = [path for path in inner if not is_side_file(path.name) or path.is_dir()]
    if not all(_NAMED.fullmatch(path.name) and path.is_dir() for path in inner):
        return []
    shards = [parquet_files(path) for path in inner]
    return [file for files in shards for file in files] if all(shards) else []


def column_types(schema: Any) -> dict[str, str]:
    """Return what each column of a pyarrow schema holds.

    `text`, `integer`, `bytes`, `image` (a struct with `bytes` and `path`), or Arrow's own word.
    """
    return {field.name: _word(field.type) for field in schema}


def _word(kind: Any) -> str:
    types = import_extra("pyarrow.types", "arrow")
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind):
        return "integer"
    if types.is_struct(kind):
        names = {kind.field(number).name for number in range(kind.num_fields)}
        return "image" if names >= {"bytes", "path"} else str(kind)
    return _WORDS.get(str(kind), str(kind))


def _folder_columns(path: Path, files: Sequence[Path]) -> dict[str, list[str | None]]:
    """Return the columns that folders such as `label=cat` name, with the value for each file.

    InputError when they do not name the same columns above every file.
    """
    named = []
    for file in files:
        folders = file.relative_to(path).parts[:-1] if file != path else ()
        pairs = (folder.partition("=") for folder in folders)
        named.append({unquote(key): _value(value) for key, _, value in pairs})
    odd = next(
        (
            file
            for file, values in zip(files, named, strict=True)
            if values.keys() != named[0].keys()
        ),
        None,
    )
    if odd is not None:
        raise InputError(
            f"{odd}: lies in folders that name {', '.join(named[files.index(odd)]) or 'no column'}, "
            f"expected {', '.join(named[0])}, as above {files[0].name}"
        )
    return {name: [values[name] for values in named] for name in named[0]} if named else {}


def _value(text: str) -> str | None:
    return None if text == _NULL else unquote(text)


@dataclass
class _Stream:
    """The position in one column, and the blocks read last."""

    file: Path | None = None
    position: int = 0
    blocks: Iterator[Any] = field(default_factory=lambda: iter(()))
    blocks_kept: deque[tuple[int, Any]] = field(default_factory=lambda: deque(maxlen=BLOCKS_KEPT))


def _shown(types: dict[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in types.items())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _one_line(error: Exception) -> str:
    """Return an error's message on one line; a short one for columns that do not match."""
    reason = " ".join(str(error).split())
    if "mismatch" in reason or "don't match" in reason:
        return "dataset_info.json names other columns or types than the Arrow files hold"
    return reason
