"""The check that every study's report passes before anything is made of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from intertwine.errors import FileFormatError, InputError
from intertwine.metrics.intervals import CONFIDENCE
from intertwine.report.numbers import THIN, plain
from intertwine.storage.files import read_json
from intertwine.storage.untrusted import require_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Row = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """A study's own numbers, checked: what the look-ups of every study stand on.

    Parameters
    ----------
    result
        The JSON object of `report.json`.
    """

    result: Row

    def __getitem__(self, key: str) -> Any:
        return self.result.get(key)

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


def checked(result: Mapping[str, Any], *, study: str, needed: Sequence[str]) -> Row:
    """Check a report and bring it to what its JSON file holds.

    Parameters
    ----------
    result
        The JSON object of `report.json`.
    study
        The study that it must be of.
    needed
        The parts that it must have.

    Returns
    -------
    copy
        A copy made of JSON's own types.

    Raises
    ------
    InputError
        When it is of another study, lacks a part, or holds what JSON cannot.
    """
    try:
        copy: Row = json.loads(json.dumps(result, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"this report cannot be written as JSON ({error})") from error
    if copy.get("study", study) != study:
        raise InputError(f"got a report of the study {copy['study']!r}, expected {study}")
    missing = [key for key in needed if key not in copy]
    if missing:
        kind = f"{'an' if study[0] in 'aeiou' else 'a'} {study} report"
        raise InputError(f"this report lacks {', '.join(missing)}; is it {kind}?")
    return copy


# What every study's report holds, as far as others rely on it.
REPORT = {"study": str, "pairs?": [dict], "notes?": [str], "controls?": ([str], None)}


def read_report(path: Path) -> dict[str, Any]:
    """Return the object of a study's `report.json`.

    Raises
    ------
    FileFormatError
        When the file is no report that intertwine wrote.
    """
    value = read_json(path)
    if not isinstance(value, dict) or "study" not in value:
        raise FileFormatError(f"{path}: not a report that intertwine wrote")
    require_shape(value, REPORT, path)
    return dict(value)
