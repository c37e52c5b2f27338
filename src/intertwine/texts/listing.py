"""Which texts there are, in a fixed order, whatever they lie in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from intertwine.errors import InputError
from intertwine.listing import RowList, absolute
from intertwine.tables.columns import Columns
from intertwine.tables.table import open_table
from intertwine.texts.line_texts import LineTexts
from intertwine.texts.table_texts import TableTexts

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from intertwine.arrays import Array


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
        """Return what to call a text in an error."""
        ...


@dataclass(frozen=True)
class TextList(RowList):
    """Texts in a fixed order; `kind` is `lines`, `table` or `datasets`.

    See `intertwine.listing.RowList` for what else it holds.

    Parameters
    ----------
    source
        What reads them.
    """

    source: TextSource

    def texts(self, rows: range) -> list[str]:
        """Return some texts.

        Parameters
        ----------
        rows
            Their rows, all of them in the list.

        Raises
        ------
        InputError
            When one is missing or cannot be read.
        """
        return self.source.texts([int(self.places[row]) for row in rows])

    def name(self, row: int) -> str:
        """Return what to call a text in an error, such as `notes.txt: line 3`."""
        return self.source.name(int(self.places[row]))


def list_texts(path: str | os.PathLike[str], *, columns: Columns | None = None) -> TextList:
    """List the texts of a text file, a table or a saved dataset.

    A `.csv` or `.parquet` file, a folder of nothing but `.parquet` files and a folder that
    `Dataset.save_to_disk` wrote are tables with a column of texts. Any other file is text in UTF-8,
    one text a line. Neither form is held in memory: of lines and CSV eight bytes a row stay,
    beside the ids.

    Parameters
    ----------
    path
        Where they are.
    columns
        Which columns of a table to read.

    Raises
    ------
    InputError
        When there is nothing there, no text, an empty line, a column that is not there, an unfit
        id or label.
    FileFormatError
        When a table is damaged.
    MissingExtraError
        When the library that reads a table is not installed.
    """
    path = Path(path)
    source = _source(path, columns or Columns())
    places = np.arange(len(source.ids))
    return TextList(
        absolute(path), source.kind, source.ids, source.labels, source.classes, places, source
    )


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
