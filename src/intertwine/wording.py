"""Words of messages: counts with their nouns, and names in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def counted(n: int, one: str, many: str | None = None, *, form: str = "") -> str:
    """Return a count with its noun, as in `1 row` and `2 rows`.

    Parameters
    ----------
    n
        How many.
    one
        What stands after the number 1: a noun, or a noun and its verb.
    many
        What stands after other numbers; one more `s` when omitted.
    form
        How the number is written, as in a format string.
    """
    return f"{n:{form}} {one if n == 1 else many or one + 's'}"


def named(names: Iterable[object], nothing: str = "none") -> str:
    """Return names with commas between them, or a word for none."""
    return ", ".join(map(str, names)) or nothing
