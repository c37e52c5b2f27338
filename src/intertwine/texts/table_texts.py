"""Texts that stand in a column of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.features.record import ids_text
from intertwine.tables.columns import Columns, content_column, read_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.tables.table import Table

USUAL = ("text", "sentence", "content", "document")


class TableTexts:
    """The texts of a table; see `intertwine.texts.listing.TextSource`.

    Ids are those of the id column, else row numbers from 0.

    Parameters
    ----------
    table
        The table.
    columns
        Which columns to read.

    Raises
    ------
    InputError
        When a column is not there or holds something else, an id stands twice or not on one line,
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
        """Return some texts.

        Raises
        ------
        InputError
            When one is missing or empty, or cannot be read.
        """
        texts = self._table.cells(self._column, places)
        for place, text in zip(places, texts, strict=True):
            if not isinstance(text, str) or not text.strip():
                raise InputError(
                    f"{self.name(place)}: column {self._column} is empty, expected a text; "
                    "leave the row out"
                )
        return texts

    def name(self, place: int) -> str:
        """Return what to call a text in an error."""
        return self._table.where(place)
