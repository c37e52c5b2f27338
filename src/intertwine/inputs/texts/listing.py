"""The texts of an input, in a fixed order: lines of a file, or a column of a table."""

from __future__ import annotations

from array import array
from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from intertwine.errors import InputError
from intertwine.features.writing.record import ids_text
from intertwine.inputs.rows import RowList, absolute
from intertwine.inputs.tables.columns import Columns, content_column, read_keys
from intertwine.inputs.tables.table import open_table
from intertwine.storage.untrusted import require_ordinary
from intertwine.wording import one_line

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from intertwine.inputs.tables.table import Table
    from intertwine.numerics.arrays import Array

USUAL = ("text", "sentence", "content", "document")


@dataclass(frozen=True)
class TextList(RowList):
    """Texts in a fixed order; `kind` is `lines`, `table` or `datasets`.

    `source` reads them; for the rest see `intertwine.inputs.rows.RowList`.
    """

    source: TextSource

    def texts(self, rows: range) -> list[str]:
        """Return the texts of some rows; InputError when one is missing or cannot be read."""
        return self.source.texts([int(self.places[row]) for row in rows])

    def name(self, row: int) -> str:
        """Return the name of a text for an error, such as `notes.txt: line 3`."""
        return self.source.name(int(self.places[row]))


def list_texts(path: str | os.PathLike[str], *, columns: Columns | None = None) -> TextList:
    """List the texts of a text file, a table or a saved dataset.

    A `.csv` or `.parquet` file, a folder of nothing but `.parquet` files and a folder that
    `Dataset.save_to_disk` wrote are tables with a column of texts; `columns` selects the columns.
    Any other file is text in UTF-8, one text a line. Neither is held in memory: of lines and CSV
    only eight bytes a row and the ids remain. InputError when there is no text, an empty line, an
    absent column, an unfit id or label.
    """
    path = Path(path)
    source = _source(path, columns or Columns())
    places = np.arange(len(source.ids))
    return TextList(
        absolute(path), source.kind, source.ids, source.labels, source.classes, places, source
    )


class TextSource(Protocol):
    """All texts of an input; they are read from several threads at once.

    Parameters
    ----------
    kind, ids, labels, classes
        As in `TextList`.
    """

    kind: str
    ids: list[str]
    labels: Array | None
    classes: list[str] | None

    def texts(self, places: Sequence[int]) -> list[str]:
        """Return some texts."""
        ...

    def name(self, place: int) -> str:
        """Return the name of a text for an error."""
        ...


class LineTexts:
    """The lines of a text file in UTF-8, with line numbers from 0 as ids; a `TextSource`.

    InputError when the file cannot be read, is no text, or holds no line or an empty one.
    """

    kind = "lines"
    labels: Array | None = None
    classes: list[str] | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts = array("q")
        require_ordinary(path)
        try:
            with path.open("rb") as file:
                position = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
                file.seek(position)
                for line in file:
                    self._check(line)
                    self._starts.append(position)
                    position += len(line)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        if not self._starts:
            raise InputError(f"{path}: holds no text, expected one a line")
        self.ids = [str(row) for row in range(len(self._starts))]

    def texts(self, places: Sequence[int]) -> list[str]:
        """Return some lines without their ends; InputError when the file can no longer be read."""
        texts = []
        try:
            with self._path.open("rb") as file:
                for place in places:
                    file.seek(self._starts[place])
                    texts.append(file.readline().decode().rstrip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self._path}: cannot be read any more ({one_line(error)})"
            ) from error
        return texts

    def name(self, place: int) -> str:
        """Return the name of a line for an error, numbered from 1 as editors do."""
        return f"{self._path}: line {place + 1}"

    def _check(self, line: bytes) -> None:
        where = self.name(len(self._starts))
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: not UTF-8 ({one_line(error)}); convert the file") from error
        if "\0" in text:
            raise InputError(f"{where}: holds a NUL byte, expected text")
        if not text.strip():
            raise InputError(f"{where}: empty, expected one text a line; remove it")


class TableTexts:
    """The texts of a table, with ids of the id column or row numbers from 0; a `TextSource`.

    InputError when a column is absent or holds something else, an id repeats or is not on one line,
    or a label is unfit.
    """

    def __init__(self, table: Table, columns: Columns) -> None:
        self._table = table
        self.kind = table.kind
        self._column = content_column(table, columns.content, usual=USUAL, types=("text",))
        keys = read_keys(table, columns)
        self.ids = keys.ids or [str(row) for row in range(len(table))]
        self.labels, self.classes = keys.labels, keys.classes
        ids_text(self.ids, len(table), table.path)

    def texts(self, places: Sequence[int]) -> list[str]:
        """Return some texts; InputError when one is missing or empty, or cannot be read."""
        texts = self._table.cells(self._column, places)
        for place, text in zip(places, texts, strict=True):
            if not isinstance(text, str) or not text.strip():
                raise InputError(
                    f"{self.name(place)}: column {self._column} is empty, expected a text; "
                    "leave the row out"
                )
        return texts

    def name(self, place: int) -> str:
        """Return the name of a text for an error."""
        return self._table.where(place)


def _source(path: Path, columns: Columns) -> TextSource:
    table = open_table(path)
    if table is not None:
        return TableTexts(table, columns)
    if not path.is_file():
        raise InputError(
            f"{path}: no texts there, expected a text file, a CSV or Parquet table, or a folder of "
            "Parquet files or of a saved dataset"
        )
    if columns != Columns():
        raise InputError(f"{path}: got names of columns, but it is no table; leave them out")
    return LineTexts(path)
