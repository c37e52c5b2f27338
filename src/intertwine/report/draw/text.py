"""Text that fits: names are broken where people would break them, then anywhere, then cut."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from intertwine.extras import import_extra

POINTS_PER_INCH = 72
HINTING = 1.03  # letters set on whole pixels are wider than their outlines


@cache
def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a line of text is set, in inches, at most."""
    textpath = import_extra("matplotlib.textpath", "report")
    properties = _font(size, bold=bold)
    points, _, _ = textpath.text_to_path.get_text_width_height_descent(text, properties, False)
    return HINTING * float(points) / POINTS_PER_INCH


@cache
def _font(size: float, *, bold: bool) -> Any:
    manager = import_extra("matplotlib.font_manager", "report")
    weight = "bold" if bold else "normal"
    return manager.FontProperties(family="DejaVu Sans", size=size, weight=weight)


def wrap(name: str, room: float, size: float, *, lines: int, bold: bool = False) -> list[str]:
    """Break a name into at most so many lines that fit a room in inches, one string a line.

    It is broken after `-`, `_`, `.` and spaces, and inside a word that is too long; what is left
    over is cut from the middle of the name.
    """
    broken = _break(name, room, size, bold=bold)
    shown, keep = broken, len(name)
    while len(shown) > lines and keep > 2:
        keep -= 1
        tail = keep // 2
        shown = _break(f"{name[: keep - tail]}…{name[-tail:]}", room, size, bold=bold)
    return shown


def _break(name: str, room: float, size: float, *, bold: bool) -> list[str]:
    parts = [""]
    for piece in re.findall(r"[^-_. ]*[-_. ]?", name):
        if not piece:
            continue
        if parts[-1] and width((parts[-1] + piece).rstrip(), size, bold=bold) > room:
            parts.append("")
        for character in piece:
            if parts[-1] and width(parts[-1] + character, size, bold=bold) > room:
                parts.append("")
            parts[-1] += character
    return [part.rstrip() for part in parts]


def wrap_words(text: str, room: float, size: float, *, bold: bool = False) -> list[str]:
    """Break a sentence at its spaces into lines that fit; a word that is too long overhangs."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width(longer, size, bold=bold) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
