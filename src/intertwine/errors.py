"""The exceptions a user can meet.

IntertwineError
├── InputError (ValueError)      the input cannot be used as asked
│   └── SpaceMismatchError       a map and an array, or two files, belong to different spaces
├── FileFormatError              a file is not of its format: truncated, altered, hostile
└── MissingExtraError (ImportError)   an optional dependency is absent; the message is the pip line
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class IntertwineError(Exception):
    """Base of every error whose message is written for a user."""


class InputError(IntertwineError, ValueError):
    """The input cannot be used as asked; the message says what was got and what to do."""


class SpaceMismatchError(InputError):
    """Vectors, or a file, belong to another embedding space than a map's."""


class FileFormatError(IntertwineError):
    """A file is truncated, altered, or not of the format expected."""


class MissingExtraError(IntertwineError, ImportError):
    """An optional dependency is not installed; the message is the pip line that installs it."""


class Doubt(str):
    """A note that puts results in question: the first thing that a reader should see."""

    __slots__ = ()


def by_weight(notes: Iterable[str]) -> dict[str, list[str]]:
    """Return the facts `warnings`, the doubts among some notes, and `notes`, all with doubts first."""
    listed = list(dict.fromkeys(notes))
    doubts = [str(note) for note in listed if isinstance(note, Doubt)]
    return {"warnings": doubts, "notes": [*doubts, *(n for n in listed if n not in doubts)]}
