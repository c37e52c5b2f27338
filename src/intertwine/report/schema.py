"""What a report holds: its tables, each declared once, and the check that it passes when read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from intertwine.errors import FileFormatError, InputError
from intertwine.metrics.intervals import CONFIDENCE
from intertwine.report import numbers
from intertwine.report.numbers import THIN, plain
from intertwine.report.shapes import Text
from intertwine.storage.files import read_json
from intertwine.storage.untrusted import require_shape, spelled
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Row = dict[str, Any]

LARGEST = 1e100  # beyond this an interval in percent could leave the floats


@dataclass(frozen=True)
class Kind:
    """How values of a kind are written, and which of them no study writes."""

    # Returns the text of a value, given the decimals of percentages; a dash for None.
    write: Callable[[Any, int], str]
    # Numbers or null; else texts, or true and false.
    numeric: bool = True
    # From a number as stored to the number as shown.
    factor: float = 1
    limits: tuple[float, float] | None = (-LARGEST, LARGEST)
    # Decimals on the page, where they are not those of percentages.
    places: int | None = None
    terminal_places: int = 1


def _text(value: Any, _: int) -> str:
    return "" if value is None else str(value)


KINDS = {
    "name": Kind(_text, numeric=False),
    "text": Kind(_text, numeric=False),
    "flag": Kind(lambda value, _: "yes" if value else "", numeric=False),
    "share": Kind(numbers.share, factor=100, limits=(0, 1)),
    "ratio": Kind(numbers.share, factor=100),
    "percent": Kind(numbers.signed),
    "points": Kind(numbers.plain),
    "number": Kind(numbers.plain, places=3, terminal_places=2),
    "score": Kind(lambda value, _: numbers.significant(value, 4)),
    "count": Kind(lambda value, _: numbers.count(None if value is None else round(value))),
    "penalty": Kind(lambda value, _: numbers.significant(value)),
    "chance": Kind(lambda value, _: numbers.chance(value), factor=100, limits=(0, 1)),
    # What the makers of a network state of it, in whatever form.
    "record": Kind(_text, limits=None),
}


@dataclass(frozen=True)
class Field:
    """One field of a table's rows, declared once for the file, the check, the page, the terminal."""

    # Its key in a row of `report.json`, and its column in the CSV file.
    key: str
    # One of `KINDS`; a share is checked to be from 0 to 1 and shown in percent.
    kind: str = "share"
    # Its heading on the page, which shows no field without one; names in braces are filled in.
    title: str = ""
    note: str = ""
    # Whether rows hold the ends of its interval as KEY_low and KEY_high, or the two keys.
    interval: bool | tuple[str, str] = False
    # Heading of the interval's own column; without one it is in brackets after the number.
    interval_title: str = ""
    interval_note: str = ""
    # Its heading in the terminal, which shows no field without one.
    short: str = ""
    # What that heading means, for a line below the terminal's table.
    meaning: str = ""
    # The field after which the page shows it, where that is not the order of the file.
    after: str = ""
    # Decimals on the page, where they are not those of its kind; the terminal shows its kind's.
    places: int | None = None
    # Why a value is undefined, where that is not the reason of the row.
    missing: str = ""
    # Worked out for the page alone, and no part of the report.
    derived: bool = False
    # Returns what the page shows, given the row and the decimals, where the kind does not do.
    show: Callable[[Row, int], str | Text] | None = None

    @property
    def ends(self) -> tuple[str, ...]:
        """The keys of the two ends of its interval; empty without one."""
        if isinstance(self.interval, tuple):
            return self.interval
        return (f"{self.key}_low", f"{self.key}_high") if self.interval else ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of a row that it fills."""
        return (self.key, *self.ends)

    def check(self, row: Row, where: str) -> None:
        """Raise when a row holds what no study writes; `where` names the row."""
        kind = KINDS[self.kind]
        value = row.get(self.key)
        if self.kind == "name" and (not isinstance(value, str) or not value):
            raise InputError(
                f"{where} of this report: got {self.key}={spelled(value)}, expected a name"
            )
        if kind.numeric and kind.limits:
            for key in self.keys:
                check_number(row.get(key), f"{where}.{key}", kind.limits)


def check_number(value: Any, where: str, limits: tuple[float, float] = (-LARGEST, LARGEST)) -> None:
    """Raise when a value is neither null nor a number within limits; `where` names it."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where} of this report: got {spelled(value)}, expected a number or null")
    if not limits[0] <= value <= limits[1]:
        if limits == KINDS["share"].limits:
            raise InputError(f"{where} of this report: got {value!r}, expected a share from 0 to 1")
        raise InputError(f"{where} of this report: got {value!r}, which no study gives")


REASON = Field("reason", "text")


@dataclass(frozen=True)
class TableSchema:
    """One table of a report; its name is its key in `report.json` and that of its CSV file."""

    name: str
    # One sentence on what the rows are; names in braces are filled in.
    caption: str
    # In the order of the CSV file.
    fields: tuple[Field, ...]
    # Whether a report may hold null in its place.
    nullable: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its CSV file, in order."""
        return tuple(key for each in self.fields if not each.derived for key in each.keys)

    @property
    def shown(self) -> list[Field]:
        """The fields that the page shows, in order."""
        titled = [each for each in self.fields if each.title]
        shown = [each for each in titled if not each.after]
        for each in titled:
            if each.after:
                before = [other.key for other in shown].index(each.after)
                shown.insert(before + 1, each)
        return shown

    def undefined(self, reason: str, **known: Any) -> Row:
        """Return a row of nulls but for what is known, with the reason."""
        return {**dict.fromkeys(self.columns), **known, "reason": reason}

    def check(self, rows: Any, study: str) -> None:
        """Raise when a report of a study holds in this table what the study does not write."""
        if rows is None and self.nullable:
            return
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(
                f"{self.name} of this report is no list of objects; is it {_kind(study)}?"
            )
        for i, row in enumerate(rows):
            for each in self.fields:
                if not each.derived:
                    each.check(row, f"{self.name}[{i}]")


@dataclass(frozen=True)
class Report:
    """A study's own numbers, checked: the base of every study's look-ups."""

    result: Row

    study: ClassVar[str] = ""  # the study, as `report.json` names it
    needed: ClassVar[tuple[str, ...]] = ()  # what a report must have beside its tables
    tables: ClassVar[tuple[TableSchema, ...]] = ()  # checked when a report is read

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Self:
        """Check a report, every row of its tables, and bring it to what its JSON file holds.

        A report of another study, without a needed part, or with a wrong one raises an
        `InputError`.
        """
        tables = [table.name for table in cls.tables if not table.nullable]
        report = checked(result, study=cls.study, needed=("study", *tables, *cls.needed))
        for table in cls.tables:
            table.check(report.get(table.name), cls.study)
        return cls(report)

    def __getitem__(self, key: str) -> Any:
        return self.result.get(key)

    def rows(self, table: str) -> list[Row]:
        """Return the rows of a table; none where the study made none."""
        return self[table] or []

    @property
    def files(self) -> tuple[TableSchema, ...]:
        """The tables that have a CSV file, and can be a data frame."""
        return self.tables

    def flat(self, table: str) -> list[Row]:
        """Return the rows of a table as its CSV file holds them, one value a field."""
        return self.rows(table)

    @cached_property
    def pair(self) -> dict[tuple[str, str], Row]:
        """The row of `pairs` of a source and a target, diagonal included."""
        return {(row["source"], row["target"]): row for row in self.rows("pairs")}

    @cached_property
    def warnings(self) -> list[str]:
        """What puts the results in question, for the top of the page."""
        return [str(note) for note in self["warnings"] or ()]

    @cached_property
    def remarks(self) -> list[str]:
        """The other notes."""
        return [str(note) for note in self["notes"] or () if note not in self.warnings]

    @cached_property
    def confidence(self) -> str:
        """The coverage of the intervals, such as 95 %."""
        return f"{plain(100 * (self['confidence'] or CONFIDENCE), 1).removesuffix('.0')}{THIN}%"

    @cached_property
    def command(self) -> tuple[str, Text]:
        """The command line that repeats the run, as a fact; without a text where there was none."""
        return "Command", Text(str(self["command"] or ""), kind="code")

    @cached_property
    def stamp(self) -> str:
        """What made the report, and when."""
        parts = ("Made with Intertwine", self["version"], self["created"])
        return " ".join(str(part) for part in parts if part)


def checked(result: Mapping[str, Any], *, study: str, needed: Sequence[str]) -> Row:
    """Return a copy of a report in JSON's own types, with every needed part, of the right study."""
    if not isinstance(result, dict):
        raise InputError(f"got a report that is a {type(result).__name__}, expected a JSON object")
    try:
        copy: Row = json.loads(json.dumps(result, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"this report cannot be written as JSON ({one_line(error)})") from error
    if copy.get("study", study) != study:
        raise InputError(f"got a report of the study {copy['study']!r}, expected {study}")
    missing = [key for key in needed if key not in copy]
    if missing:
        raise InputError(f"this report lacks {', '.join(missing)}; is it {_kind(study)}?")
    return copy


def _kind(study: str) -> str:
    return f"{'an' if study[0] in 'aeiou' else 'a'} {study} report"


# What every study's report holds, as far as others rely on it.
REPORT = {"study": str, "pairs?": [dict], "notes?": [str], "controls?": ([str], None)}


def read_report(path: Path) -> dict[str, Any]:
    """Return the object of a study's `report.json`; another file raises a `FileFormatError`."""
    value = read_json(path)
    if not isinstance(value, dict) or "study" not in value:
        raise FileFormatError(f"{path}: not a report that intertwine wrote")
    require_shape(value, REPORT, path)
    return dict(value)
