"""CSV cells that a spreadsheet does not compute as formulas."""

from __future__ import annotations

# What spreadsheets begin a formula with, in half and full width, and what they skip before it.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_QUOTE = "'"


def guarded(text: str) -> str:
    """Return text with `'` in front where a spreadsheet would otherwise compute it."""
    return _QUOTE + text if _is_guarded(text) or _computed(text) else text


def bare(cell: str) -> str:
    """Return the text from which `guarded` made a cell."""
    return cell[1:] if _is_guarded(cell) else cell


def _computed(text: str) -> bool:
    return text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)


def _is_guarded(cell: str) -> bool:
    rest = cell.removeprefix(_QUOTE)
    return rest != cell and (_computed(rest) or _is_guarded(rest))
