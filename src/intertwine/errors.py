"""The exceptions a user can meet.

IntertwineError
├── InputError (ValueError)      the data given cannot be used as asked
│   └── SpaceMismatchError       a map and an array, or two files, belong to different spaces
├── FileFormatError              a file is not what its name says: truncated, altered, hostile
└── MissingExtraError (ImportError)   an optional dependency is absent; the message is the pip line
"""

from __future__ import annotations


class IntertwineError(Exception):
    """Base of every error whose message is written for a user."""


class InputError(IntertwineError, ValueError):
    """The data given cannot be used as asked; says what was got and what to do."""


class SpaceMismatchError(InputError):
    """A map was given vectors, or a file, of another embedding space."""


class FileFormatError(IntertwineError):
    """A file is truncated, altered, or not of the format expected."""


class MissingExtraError(IntertwineError, ImportError):
    """An optional dependency is not installed; the message is the pip line that installs it."""
