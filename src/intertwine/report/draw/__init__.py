"""Display shapes in, matplotlib figures out, and from them SVG and PNG."""

from __future__ import annotations

from intertwine.report.draw.colours import DARK, LIGHT, SENTINELS, Palette
from intertwine.report.draw.curve import curve
from intertwine.report.draw.dendrogram import dendrogram
from intertwine.report.draw.export import (
    for_both_widths,
    for_notebook,
    for_page,
    to_png,
    to_svg,
)
from intertwine.report.draw.matrix import matrix
from intertwine.report.draw.plane import plane
from intertwine.report.draw.rate_panels import rate_panels
from intertwine.report.draw.roc import roc
from intertwine.report.draw.scatter import scatter

__all__ = [
    "DARK",
    "LIGHT",
    "SENTINELS",
    "Palette",
    "curve",
    "dendrogram",
    "for_both_widths",
    "for_notebook",
    "for_page",
    "matrix",
    "plane",
    "rate_panels",
    "roc",
    "scatter",
    "to_png",
    "to_svg",
]
