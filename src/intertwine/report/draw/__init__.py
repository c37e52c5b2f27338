"""The second step: display shapes in, matplotlib figures out, and from them SVG and PNG."""

from __future__ import annotations

from intertwine.report.draw.colours import DARK, LIGHT, SENTINELS, Palette
from intertwine.report.draw.curve import curve
from intertwine.report.draw.export import for_page, to_png, to_svg
from intertwine.report.draw.matrix import matrix

__all__ = [
    "DARK",
    "LIGHT",
    "SENTINELS",
    "Palette",
    "curve",
    "for_page",
    "matrix",
    "to_png",
    "to_svg",
]
