"""Words of messages: counts with their nouns, and names in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun, as in `1 row` and `2 rows`, thousands grouped by commas.

    Parameters
    ----------
    n
        How many.
    noun
        What one of them is called; words after the noun are part of `plural` too.
    plural
        What others are called, where they do not end in one more `s`.
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def named(names: Iterable[object], nothing: str = "none") -> str:
    """Return names with commas between them, or a word for none."""
    return ", ".join(map(str, names)) or nothing
