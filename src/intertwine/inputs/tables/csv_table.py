"""CSV files, of which only the position of each record is held in memory."""

from __future__ import annotations

import csv
from array import array
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.storage.untrusted import require_ordinary
from intertwine.wording import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class CsvTable:
    """A CSV file whose first line names its columns; a `Table`.

    UTF-8, commas, cells in double quotes where needed; blank lines are skipped. InputError when it
    cannot be read so, a column's name repeats, or a record has too few or many cells.
    """

    kind = "table"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts = array("q")
        header: list[str] = []
        for start, line, record in self._records():
            if not header:
                header = [name.strip() for name in record]
            elif len(record) != len(header):
                raise InputError(
                    f"{path}: line {line}: got {counted(len(record), 'cell')}, expected {len(header)} as in "
                    "the line of names"
                )
            else:
                self._starts.append(start)
        if len(set(header)) != len(header) or not all(header):
            raise InputError(
                f"{path}: got columns {', '.join(header)}, expected a distinct name for each"
            )
        self.types = dict.fromkeys(header, "text")

    def __len__(self) -> int:
        return len(self._starts)

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Return whole columns by name."""
        places = [list(self.types).index(name) for name in names]
        columns: list[list[Any]] = [[] for _ in names]
        if names:
            records = self._records()
            next(records)
            for _, _, record in records:
                for column, place in zip(columns, places, strict=True):
                    column.append(record[place])
        return dict(zip(names, columns, strict=True))

    def cells(self, name: str, rows: Sequence[int]) -> list[Any]:
        """Return some cells of a column."""
        place = list(self.types).index(name)
        return [next(self._records(self._starts[row]))[2][place] for row in rows]

    def class_names(self, name: str) -> None:
        """Return None: a CSV file has no names of integer labels."""

    def where(self, row: int) -> str:
        """Return the name of a row for an error."""
        return f"{self.path}: row {row}"

    def _records(self, start: int = 0) -> Iterator[tuple[int, int, list[str]]]:
        """Yield the first byte, the last line's number and the cells of each record."""
        # A record may span lines, so the reader is fed lines whose bytes are counted.
        taken = start

        def lines() -> Iterator[str]:
            nonlocal taken
            for line in file:
                encoding = "utf-8" if taken else "utf-8-sig"
                taken += len(line)
                yield line.decode(encoding)

        try:
            require_ordinary(self.path)
            with self.path.open("rb") as file:
                file.seek(start)
                reader = csv.reader(lines(), strict=True)
                for record in reader:
                    if record:
                        yield start, reader.line_num, record
                    start = taken
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(
                f"{self.path}: cannot be read as CSV in UTF-8 ({one_line(error)})"
            ) from error
