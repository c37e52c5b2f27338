"""Folders that `Dataset.save_to_disk` of the `datasets` library wrote, read where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.errors import FileFormatError
from intertwine.extras import import_extra
from intertwine.tables.arrow_types import column_types
from intertwine.untrusted import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EXTRA = "datasets"


class DatasetTable:
    """A saved dataset, memory-mapped; see `intertwine.tables.table.Table`.

    Images are taken as the bytes they were saved as: the library decodes nothing.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    FileFormatError
        When it cannot be loaded.
    MissingExtraError
        When `datasets` is not installed.
    """

    kind = "datasets"

    def __init__(self, path: Path) -> None:
        self.path = path
        arrow_error = import_extra("pyarrow", EXTRA).ArrowException
        datasets = import_extra("datasets", EXTRA)
        self._errors = (arrow_error, OSError, UnicodeDecodeError)
        self._valid: set[str] = set()
        try:
            self._dataset = datasets.load_from_disk(str(path)).with_format("arrow")
            # Lengths and buffers of every column; what they hold is looked at when it is read.
            self._dataset.data.validate()
        except (arrow_error, OSError, *DAMAGE) as error:
            raise FileFormatError(
                f"{path}: cannot be loaded as a saved dataset ({_reason(error)})"
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
        """Return cells of a column, once all of it is known to be whole."""
        try:
            if name not in self._valid:
                # Arrow ends the process where an offset leads astray.
                self._dataset.data.column(name).validate(full=True)
                self._valid.add(name)
            return list(self._views[name][rows].column(name).to_pylist())
        except self._errors as error:
            raise FileFormatError(
                f"{self.path}: {name} cannot be read ({_reason(error)})"
            ) from error

    def class_names(self, name: str) -> list[str] | None:
        """Return the names that an integer column numbers, where the dataset has them."""
        names = getattr(self._dataset.features[name], "names", None)
        return None if names is None else list(names)

    def where(self, row: int) -> str:
        """Return what to call a row in an error."""
        return f"{self.path}: row {row}"


def _reason(error: Exception) -> str:
    """Return what an error says, on one line; of columns that differ the library shows all of each."""
    reason = " ".join(str(error).split())
    if "mismatch" in reason or "don't match" in reason:
        return "dataset_info.json names other columns or types than the Arrow files hold"
    return reason
