"""The curve: scores over the number of fit rows, one thin line a pair and a thick median."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.extras import import_extra
from intertwine.report.draw.colours import LIGHT, Palette
from intertwine.report.draw.export import settings
from intertwine.report.draw.frame import bare_axes, empty_figure
from intertwine.report.draw.text import wrap_words
from intertwine.report.numbers import count, plain, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from intertwine.report.shapes import Curve, Line

WIDE, NARROW = (8.6, 4.6), (4.3, 4.5)  # inches
TEXT = 9.0
ROOMY = 0.58  # a name fits between here and the right edge
TICKS = (-100, -75, -50, -25, -10, -5, -1, 0, 1, 5, 10, 25, 50, 100)


def curve(content: Curve, palette: Palette = LIGHT, *, narrow: bool = False) -> Figure:
    """Draw scores over the number of fit rows.

    Each pair's line is the group `pair-0`, `pair-1` … in the order given.
    """
    with settings():
        figure = empty_figure(NARROW if narrow else WIDE, palette)
        left = 0.105 if narrow else 0.062
        title = wrap_words(content.y_title, figure.get_figwidth() * (0.985 - left), TEXT)
        height = 0.79 - 0.045 * (len(title) - 1)
        axes = figure.add_axes((left, 0.125, 0.985 - left, height))
        _scales(axes, content)
        _frame(axes, content, "\n".join(title), palette)
        _lines(axes, content, palette)
        _marks(axes, content, palette)
        return figure


def _scales(axes: Any, content: Curve) -> None:
    lines = [*content.lines, content.median]
    xs = [x for line in lines for x, _ in line.points] + [m.x for m in content.marks if m.x]
    ys = [y for line in lines for _, y in line.points] + [m.y for m in content.marks]
    axes.set_xscale("log")
    # The same square root as the colours': 1 % differs from 5 %, and 100 % has room.
    axes.set_yscale("function", functions=(_root, _square))
    axes.set_xlim(min(xs, default=1) / 1.25, max(xs, default=10) * 1.6)
    axes.set_ylim(_shifted(min(ys, default=-100.0), -0.55), _shifted(max([0.0, *ys]), 0.9))


def _shifted(value: float, by: float) -> float:
    """Return the value that is a distance above or below another on the scale."""
    return float(_square(_root(value) + by))


def _root(values: Any) -> Any:
    return np.sign(values) * np.sqrt(np.abs(values))


def _square(values: Any) -> Any:
    return np.sign(values) * np.square(values)


def _frame(axes: Any, content: Curve, y_title: str, palette: Palette) -> None:
    low, high = axes.get_ylim()
    ticks = [tick for tick in content.y_ticks or TICKS if low <= tick <= high]
    axes.set_yticks(ticks, [signed(tick, 0 if tick == int(tick) else 1) for tick in ticks])
    first, last = axes.get_xlim()
    decades = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    places = content.x_ticks or tuple(10**k for k in decades)
    places = tuple(place for place in places if first <= place <= last)
    axes.set_xticks(places, [count(place) for place in places])
    bare_axes(axes, palette, TEXT, grid="y", pad=5, line=0.6)
    axes.tick_params(which="minor", color=palette.rule, length=3)
    axes.xaxis.set_minor_formatter(import_extra("matplotlib.ticker", "report").NullFormatter())
    axes.set_xlabel(content.x_title, fontsize=TEXT, color=palette.muted, labelpad=6)
    axes.set_title(y_title, fontsize=TEXT, color=palette.muted, loc="left", pad=8)
    axes.title.set_parse_math(False)


def _lines(axes: Any, content: Curve, palette: Palette) -> None:
    for i, line in enumerate(content.lines):
        style = {"color": palette.faint, "linewidth": 0.9, "alpha": 0.75}
        if line.control:
            style |= {"linestyle": (0, (1, 2)), "linewidth": 0.8}
        _plot(axes, line, gid=f"pair-{i}", solid_joinstyle="round", **style)
    thick = {"color": palette.accent, "linewidth": 2.4, "marker": "o", "markersize": 4.5}
    _plot(axes, content.median, gid="median", **thick)
    if content.median.points:
        _name_median(axes, content.median, palette)


def _name_median(axes: Any, median: Line, palette: Palette) -> None:
    """Name the thick line after its last point, or under its middle when there is no room."""
    points, (first, last) = median.points, np.log(axes.get_xlim())
    end = (np.log(points[-1][0]) - first) / (last - first)  # 0 the left edge … 1 the right one
    roomy = end < ROOMY
    place = points[-1] if roomy else points[len(points) // 2]
    axes.annotate(
        f"{median.name}, {plain(points[-1][1], 1)}",
        place,
        (9, 0) if roomy else (0, -14),
        textcoords="offset points",
        ha="left" if roomy else "center",
        va="center",
        color=palette.accent,
        fontsize=TEXT,
        weight="bold",
        bbox={"facecolor": palette.paper, "edgecolor": "none", "pad": 1.5},
        zorder=4,
    )


def _plot(axes: Any, line: Line, **style: Any) -> None:
    if line.points:
        xs, ys = zip(*line.points, strict=True)
        axes.plot(xs, ys, **style)


def _marks(axes: Any, content: Curve, palette: Palette) -> None:
    for mark in content.marks:
        level = mark.x is None
        if level:
            axes.axhline(mark.y, color=palette.muted, linewidth=1.1, zorder=1.5)
        else:
            axes.plot([mark.x], [mark.y], "D", color=palette.ink, markersize=5.5)
        axes.annotate(
            mark.text,
            (1, mark.y) if level else (mark.x, mark.y),
            (0, 4) if level else (6, -7),
            xycoords=("axes fraction", "data") if level else "data",
            textcoords="offset points",
            ha="right",
            va="bottom" if level else "top",
            fontsize=TEXT,
            color=palette.muted if level else palette.ink,
            linespacing=1.35,
            bbox={"facecolor": palette.paper, "edgecolor": "none", "pad": 1.5},
            parse_math=False,
        )
