"""Small figures of rates over known pairs or over rank: thin lines, their median, chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.extras import import_extra
from intertwine.report.draw.colours import LIGHT, Palette
from intertwine.report.draw.export import settings
from intertwine.report.draw.frame import Grid, bare_axes, empty_figure
from intertwine.report.draw.text import wrap_words
from intertwine.report.numbers import count, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from intertwine.report.shapes import Line, RatePanel

# All lengths are inches, all font sizes points.
WIDE, NARROW = (8.6, 3), (4.3, 1)  # width, panels in a row
TEXT, SMALL = 8.5, 7.5
LEFT, RIGHT, TOP, FOOT, GAP = 0.42, 0.14, 0.36, 0.46, 0.3
HEIGHT, LEGEND = 2.1, 0.3
LARGEST = 4.0  # width of a panel
APART, LETTER = 0.28, 0.044  # of two ticks at least, and for each of their digits, in decades
NOTHING = 0.6  # how far left of the first number 0 is, in decades


def rate_panels(
    panels: Sequence[RatePanel], palette: Palette = LIGHT, *, narrow: bool = False
) -> Figure:
    """Draw one small figure a panel, all over the same y axis of 0 to 100 %.

    There is at least one panel; each pair's line is the group `pair-0-0`, `pair-0-1` … by panel.
    """
    with settings():
        across, columns = NARROW if narrow else WIDE
        columns = min(columns, len(panels))
        grid = Grid(
            len(panels),
            columns,
            across,
            left=LEFT,
            right=RIGHT,
            gap=GAP,
            top=LEGEND,
            heading=TOP,
            axis=FOOT,
            height=HEIGHT,
            largest=LARGEST,
        )
        figure = empty_figure((across, grid.high), palette)
        _legend(figure, panels[0], palette)
        for i, panel in enumerate(panels):
            axes = grid.add_axes(figure, i)
            _frame(axes, panel, palette, grid.side, first=grid.is_first(i))
            _lines(axes, panel, palette, i)
        return figure


def _styles(palette: Palette) -> dict[str, dict[str, Any]]:
    return {
        "pair": {"color": palette.faint, "linewidth": 0.9, "alpha": 0.8},
        "median": {"color": palette.accent, "linewidth": 2.2, "marker": "o", "markersize": 3.5},
        "chance": {"color": palette.muted, "linewidth": 1.1, "linestyle": (0, (1, 2))},
        "native": {"color": palette.ink, "linewidth": 1.2, "linestyle": (0, (3, 1.5))},
    }


def _legend(figure: Figure, panel: RatePanel, palette: Palette) -> None:
    named = {"median": panel.median.name, "chance": panel.chance.name}
    if panel.native:
        named["native"] = panel.native.name
    lines = import_extra("matplotlib.lines", "report")
    styles = _styles(palette)
    handles = [lines.Line2D([], [], **styles[kind], label=text) for kind, text in named.items()]
    figure.legend(
        handles=handles,
        loc="upper left",
        ncols=len(handles),
        frameon=False,
        fontsize=SMALL,
        labelcolor=palette.muted,
        borderaxespad=0.3,
        handlelength=2.2,
        columnspacing=1.4,
    )


def _places(xs: Sequence[float]) -> dict[float, float]:
    """Return where each number is: on a logarithmic scale, 0 a little left of the rest."""
    first = min((x for x in xs if x > 0), default=1.0)
    return {x: math.log10(x) if x > 0 else math.log10(first) - NOTHING for x in xs}


def _xs(panel: RatePanel) -> list[float]:
    lines = [*panel.lines, panel.median, panel.chance]
    return sorted({x for line in lines for x, _ in line.points})


def _frame(axes: Any, panel: RatePanel, palette: Palette, side: float, *, first: bool) -> None:
    places = _places(_xs(panel))
    shown: list[float] = []
    for x in sorted(places, reverse=True):
        if not shown or places[shown[-1]] - places[x] >= _room(shown[-1], x):
            shown.append(x)
    ends = sorted(places.values()) or [0.0]
    axes.set_xlim(ends[0] - 0.1, ends[-1] + 0.1)
    axes.set_ylim(0, 100)
    axes.set_xticks([places[x] for x in shown], [count(int(x)) for x in shown])
    ticks = np.arange(0, 101, 20)
    axes.set_yticks(
        ticks, [plain(float(tick), 0) for tick in ticks] if first else [""] * len(ticks)
    )
    bare_axes(axes, palette, SMALL, grid="y")
    axes.set_xlabel(panel.x_title, fontsize=SMALL, color=palette.muted, labelpad=3)
    title = "\n".join(wrap_words(panel.title, side, TEXT))
    axes.set_title(title, fontsize=TEXT, color=palette.ink, loc="left", pad=6)
    axes.title.set_parse_math(False)


def _room(a: float, b: float) -> float:
    """Return how far apart two ticks must be for their numbers not to touch, in decades."""
    return max(APART, LETTER * (len(count(int(a))) + len(count(int(b)))))


def _lines(axes: Any, panel: RatePanel, palette: Palette, index: int) -> None:
    styles, places = _styles(palette), _places(_xs(panel))
    for i, line in enumerate(panel.lines):
        _plot(axes, line, places, gid=f"pair-{index}-{i}", **styles["pair"])
    _plot(axes, panel.chance, places, gid=f"chance-{index}", **styles["chance"])
    if panel.native:
        _plot(axes, panel.native, places, gid=f"native-{index}", **styles["native"])
    _plot(axes, panel.median, places, gid=f"median-{index}", **styles["median"])


def _plot(axes: Any, line: Line, places: dict[float, float], **style: Any) -> None:
    points = [(places[x], y) for x, y in line.points if x in places]
    if points:
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, clip_on=False, **style)
