"""A text file, one text a line, of which only the place of each line is kept in memory."""

from __future__ import annotations

from array import array
from codecs import BOM_UTF8
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.untrusted import require_ordinary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from intertwine.arrays import Array


class LineTexts:
    """The lines of a text file; see `intertwine.texts.listing.TextSource`.

    Ids are line numbers from 0.

    Parameters
    ----------
    path
        The file, in UTF-8.

    Raises
    ------
    InputError
        When it cannot be read, is no text, holds no line or an empty one.
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
        """Return some lines without their ends.

        Raises
        ------
        InputError
            When the file cannot be read any more.
        """
        texts = []
        try:
            with self._path.open("rb") as file:
                for place in places:
                    file.seek(self._starts[place])
                    texts.append(file.readline().decode().rstrip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self._path}: cannot be read any more ({error})") from error
        return texts

    def name(self, place: int) -> str:
        """Return what to call a line in an error, numbered from 1 as editors do."""
        return f"{self._path}: line {place + 1}"

    def _check(self, line: bytes) -> None:
        where = self.name(len(self._starts))
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: not UTF-8 ({error}); convert the file") from error
        if "\0" in text:
            raise InputError(f"{where}: holds a NUL byte, expected text")
        if not text.strip():
            raise InputError(f"{where}: empty, expected one text a line; remove it")
