"""Images that a table's rows name by path, or hold as bytes."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from intertwine.features.record import ids_text
from intertwine.images.decode import UnreadableImageError
from intertwine.images.file_images import relative
from intertwine.listing import absolute
from intertwine.tables.columns import Columns, content_column, read_keys

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.tables.table import Table

USUAL = ("path", "file", "filename", "image", "image_path")
TYPES = ("text", "bytes", "image")


class TableImages:
    """The images of a table; see `intertwine.images.listing.ImageSource`.

    Ids are those of the id column; else the paths where a column of text names files, and the row
    numbers where the table holds the images themselves.

    Parameters
    ----------
    table
        The table. Paths in it are relative to its folder.
    columns
        Which columns to read.

    Raises
    ------
    InputError
        When a column is not there or holds something else, a cell names no file, an id stands
        twice or not on one line, or a label is unfit.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, table: Table, columns: Columns) -> None:
        self._table = table
        self.kind = table.kind
        self._column = content_column(table, columns.content, usual=USUAL, types=TYPES)
        named = table.types[self._column] == "text"
        keys = read_keys(table, columns, content=self._column if named else None)
        self._paths = None
        if keys.content is not None:
            self._paths = [self._path(cell, row) for row, cell in enumerate(keys.content)]
        self.ids = keys.ids or self._paths or [str(row) for row in range(len(table))]
        self.labels, self.classes = keys.labels, keys.classes
        ids_text(self.ids, len(table), table.path)
        self._root = absolute(table.path if table.path.is_dir() else table.path.parent)

    def open(self, place: int) -> Path | BytesIO:
        """Return an image's file, or its bytes.

        Raises
        ------
        UnreadableImageError
            When its cell is empty.
        InputError
            When the table cannot be read there.
        """
        if self._paths is not None:
            return self._root / self._paths[place]
        cell = self._table.cells(self._column, [place])[0]
        data, path = (cell["bytes"], cell["path"]) if isinstance(cell, dict) else (cell, None)
        return BytesIO(data) if data else self._root / self._path(path, place)

    def name(self, place: int) -> str:
        """Return what to call an image in an error."""
        if self._paths is not None:
            return str(self._root / self._paths[place])
        return self._table.where(place)

    def _path(self, cell: Any, row: int) -> str:
        if not isinstance(cell, str) or not cell.strip():
            raise UnreadableImageError(self._table.where(row), f"column {self._column} is empty")
        return relative(cell)
