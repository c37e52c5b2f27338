"""Words of messages: counts with their nouns, lists of names, and what other libraries say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Characters of another library's message that are shown.
LONGEST = 300


def one_line(error: BaseException) -> str:
    """Return the message of another library's error as one line, not too long; its type if empty."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def counted(n: int, one: str, many: str | None = None, *, form: str = "") -> str:
    """Return a count with its noun, as in `1 row` and `2 rows`; `form` formats the number.

    `one` follows the number 1, a noun or a noun with its verb; `many` other numbers, `one` with an
    `s` when omitted.
    """
    return f"{n:{form}} {one if n == 1 else many or one + 's'}"


def named(names: Iterable[object], nothing: str = "none") -> str:
    """Return names with commas between them, or a word for none."""
    return ", ".join(map(str, names)) or nothing
