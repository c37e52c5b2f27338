"""Numbers as people read them: true minus signs, fixed decimals, an en dash for the undefined."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from intertwine.report.shapes import DASH, Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

MINUS = "−"
THIN = "\u202f"  # narrow no-break space: groups thousands, stands before a unit
SPACE = "\u00a0"  # where a line must not break
FINE_ROWS = 10_000  # from here on a hundredth of a point is more than one row


def decimals(n_eval: int | None) -> int:
    """Return how many decimals a percentage deserves, given the rows it was measured on."""
    return 2 if n_eval is not None and n_eval >= FINE_ROWS else 1


def plain(value: float | None, places: int) -> str:
    """Return a number with fixed decimals; never a negative zero."""
    if value is None:
        return DASH
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def signed(value: float | None, places: int) -> str:
    """Return a number with its sign, plus included."""
    text = plain(value, places)
    return f"+{text}" if value is not None and value > 0 and float(f"{value:.{places}f}") else text


def count(value: int | None) -> str:
    """Return a whole number with its thousands grouped."""
    return DASH if value is None else f"{value:,}".replace(",", THIN)


def number_of(value: int | None, one: str, many: str | None = None) -> str:
    """Return a count with its noun, `1 row` and `2 rows`; the plural where it is undefined."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def share(value: float | None, places: int) -> str:
    """Return a share of 1 as a percentage without its sign."""
    return plain(None if value is None else 100 * value, places)


def chance(value: float | None) -> str:
    """Return the share that guessing reaches, as a percentage of two significant digits."""
    return DASH if value is None else f"{100 * value:.2g}"


def unit(text: str) -> str:
    """Append a percent sign, unless the number is undefined."""
    return text if text == DASH else f"{text}{THIN}%"


def interval(low: float | None, high: float | None, places: int) -> str:
    """Return an interval, or nothing when it is undefined."""
    if low is None or high is None:
        return ""
    return f"{plain(low, places)}{SPACE}to{SPACE}{plain(high, places)}"


def significant(value: float | None, digits: int = 3) -> str:
    """Return a number in significant digits, as λ and p need."""
    if value is None:
        return DASH
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.{digits}g}'):g}".replace("-", MINUS)
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    superscript = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{float(mantissa):g}·10{superscript}".replace("-", MINUS)


def penalty(row: Mapping[str, Any]) -> str:
    """Return a pair's λ: one number, or the median and range when there is one a target."""
    low, high = row.get("alpha_min"), row.get("alpha_max")
    middle = significant(row.get("alpha"))
    if low is None or high is None or low == high:
        return middle
    return f"{middle} ({significant(low)} to {significant(high)})"


def scored(text: str, extra: str) -> str:
    """Return a number with its interval in brackets, where it has one."""
    return f"{text} [{extra}]" if extra else text


def text_or_reason(text: str, reason: str | None) -> Text:
    """Return a number; when it is the en dash, with the reason that it is undefined."""
    if text != DASH:
        return Text(text)
    return Text(text, reason or "not measured", "undefined")


def median(values: Sequence[float]) -> float | None:
    """Return the median, or None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def shade(percent_change: float | None) -> float | None:
    """Return how deep a cell is coloured: the square root of the share lost (−) or gained (+).

    The scale is fixed, so a colour means the same loss in every report, and the root tells
    1 % from 5 % while there is still room for 100 %.
    """
    if percent_change is None:
        return None
    return math.copysign(min(1.0, math.sqrt(abs(percent_change) / 100)), percent_change)
