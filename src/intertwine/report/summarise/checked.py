"""The check that every study's report passes before anything is made of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = dict[str, Any]


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
    plain
        A copy made of JSON's own types.

    Raises
    ------
    InputError
        When it is of another study, lacks a part, or holds what JSON cannot.
    """
    try:
        plain: Row = json.loads(json.dumps(result, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"this report cannot be written as JSON ({error})") from error
    if plain.get("study", study) != study:
        raise InputError(f"got a report of the study {plain['study']!r}, expected {study}")
    missing = [key for key in needed if key not in plain]
    if missing:
        kind = f"{'an' if study[0] in 'aeiou' else 'a'} {study} report"
        raise InputError(f"this report lacks {', '.join(missing)}; is it {kind}?")
    return plain
