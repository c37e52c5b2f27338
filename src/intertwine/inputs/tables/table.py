"""The interface of tables, and opening one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from intertwine.errors import InputError
from intertwine.inputs.tables.csv_table import CsvTable
from intertwine.inputs.tables.parquet_table import DatasetTable, ParquetTable, parquet_files

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

_DATASET = ("dataset_info.json", "state.json")
_SPLITS = "dataset_dict.json"


class Table(Protocol):
    """Rows of named columns; cells are read on demand, from several threads at once.

    Parameters
    ----------
    path
        The file or folder.
    kind
        `table`, or `datasets` for a folder of that library.
    types
        What each column holds: `text`, `integer`, `bytes`, `image` (bytes or a path), or
        another word, of a type that nothing here reads.
    """

    path: Path
    kind: str
    types: dict[str, str]

    def __len__(self) -> int: ...

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Return whole columns by name."""
        ...

    def cells(self, name: str, rows: Sequence[int]) -> list[Any]:
        """Return some cells of a column; an image is a dictionary of `bytes` and `path`."""
        ...

    def class_names(self, name: str) -> list[str] | None:
        """Return the names that an integer column numbers, where the table has them."""
        ...

    def where(self, row: int) -> str:
        """Return the name of a row for an error."""
        ...


def open_table(path: str | os.PathLike[str]) -> Table | None:
    """Open a table with at least one row; None for a path that is no table.

    A table is a `.csv` or `.parquet` file, a folder that holds nothing but `.parquet` files or
    folders such as `label=cat` of them, or a folder that `Dataset.save_to_disk` wrote. InputError
    for a folder of several splits.
    """
    table = _open(Path(path))
    if table is not None and not len(table):
        raise InputError(f"{path}: holds no row, expected at least one below the column names")
    return table


def _open(path: Path) -> Table | None:
    if path.is_file():
        readers: dict[str, Callable[[Path], Table]] = {".csv": CsvTable, ".parquet": ParquetTable}
        reader = readers.get(path.suffix.lower())
        return None if reader is None else reader(path)
    if not path.is_dir():
        return None
    if all((path / name).is_file() for name in _DATASET):
        return DatasetTable(path)
    if (path / _SPLITS).is_file():
        splits = sorted(file.parent.name for file in path.glob(f"*/{_DATASET[1]}"))
        raise InputError(
            f"{path}: holds a dataset of splits, expected one of them; "
            f"give its folder: {' or '.join(str(path / split) for split in splits)}"
        )
    return ParquetTable(path) if parquet_files(path) else None
