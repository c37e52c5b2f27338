"""The tree of spaces: the lower two branches meet, the more alike they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.report.draw.colours import LIGHT, Palette
from intertwine.report.draw.export import settings
from intertwine.report.draw.frame import bare_axes, empty_figure
from intertwine.report.draw.text import width, wrap, wrap_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from intertwine.report.shapes import Tree

# All lengths are inches, all font sizes points.
WIDE, NARROW = 8.6, 4.3
TEXT = 9.0
LINE = 1.3 / 72  # inches of line height a point
MARGIN, AXIS = 0.2, 0.3


def dendrogram(content: Tree, palette: Palette = LIGHT, *, narrow: bool = False) -> Figure:
    """Draw a tree lying on its side, so that every name has a line of its own."""
    with settings():
        across, n = (NARROW if narrow else WIDE), len(content.labels)
        names = [
            wrap(label.name, 1.5 if narrow else 2.9, TEXT, lines=3 if narrow else 2)
            for label in content.labels
        ]
        left = MARGIN + max(width(line, TEXT) for lines in names for line in lines) + 0.1
        row = max(max(len(lines) for lines in names) * TEXT * LINE + 0.1, 0.27)
        title = wrap_words(content.x_title, across - 2 * MARGIN, TEXT)
        foot = AXIS + len(title) * TEXT * LINE + MARGIN
        high = MARGIN + n * row + foot
        figure = empty_figure((across, high), palette)
        box = (left / across, foot / high, (across - left - 0.3) / across, n * row / high)
        axes = figure.add_axes(box)
        _frame(axes, content, palette)
        _names(axes, content, names, palette)
        _branches(axes, content, palette)
        for i, line in enumerate(title):
            y = (foot - AXIS - (i + 0.5) * TEXT * LINE) / high
            style: dict[str, Any] = {"fontsize": TEXT, "color": palette.muted}
            figure.text(1 - MARGIN / across, y, line, ha="right", va="center", **style)
        return figure


def _frame(axes: Any, content: Tree, palette: Palette) -> None:
    axes.set_xlim(0, 1.02 * content.limit)
    axes.set_ylim(len(content.labels) - 0.5, -0.5)
    axes.set_yticks([])
    ticker = import_extra("matplotlib.ticker", "report")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 5, 10]))
    bare_axes(axes, palette, TEXT, grid="x", pad=4, line=0.6)


def _names(axes: Any, content: Tree, names: list[list[str]], palette: Palette) -> None:
    for i, (lines, label) in enumerate(zip(names, content.labels, strict=True)):
        style = {"style": "italic"} if label.control else {}
        axes.annotate(
            "\n".join(lines),
            (0, i),
            (-6, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=TEXT,
            linespacing=1.2,
            color=palette.muted if label.control else palette.ink,
            parse_math=False,
            annotation_clip=False,
            **style,
        )


def _branches(axes: Any, content: Tree, palette: Palette) -> None:
    for i, join in enumerate(content.joins):
        (one, other), (low, low2) = join.places, join.heights
        xs, ys = (low, join.height, join.height, low2), (one, one, other, other)
        style = {"color": palette.ink, "linewidth": 1.4, "solid_joinstyle": "miter"}
        axes.plot(xs, ys, gid=f"join-{i}", clip_on=False, **style)
