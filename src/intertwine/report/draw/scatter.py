"""Small scatters over one y axis: what each measure makes of pairs against what swapping costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.report.draw.colours import LIGHT, Palette
from intertwine.report.draw.export import settings
from intertwine.report.draw.frame import Grid, bare_axes, empty_figure
from intertwine.report.draw.text import wrap_words
from intertwine.report.numbers import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from intertwine.report.shapes import Panel, Scatter

# All lengths are inches, all font sizes points.
WIDE, NARROW = (8.6, 4), (4.3, 2)  # width, panels in a row
TEXT, SMALL = 8.5, 7.5
LEFT, RIGHT, TOP, FOOT = 0.48, 0.12, 0.36, 0.1
HEIGHT, HEADING, AXIS = 1.35, 0.52, 0.4  # of a panel, of the room above it and below it
GAP = 0.22


def scatter(content: Scatter, palette: Palette = LIGHT, *, narrow: bool = False) -> Figure:
    """Draw one small scatter a measure; in every panel more similar is further right."""
    with settings():
        across, columns = NARROW if narrow else WIDE
        columns = min(columns, max(len(content.panels), 2))
        grid = Grid(
            len(content.panels),
            columns,
            across,
            left=LEFT,
            right=RIGHT,
            gap=GAP,
            top=TOP,
            heading=HEADING,
            axis=AXIS,
            foot=FOOT,
            height=HEIGHT,
        )
        figure = empty_figure((across, grid.high), palette)
        style: dict[str, Any] = {"fontsize": TEXT, "color": palette.muted, "va": "center"}
        figure.text(0.1 / across, 1 - 0.17 / grid.high, content.y_title, **style)
        changes = [y for panel in content.panels for _, y in panel.points]
        for i, panel in enumerate(content.panels):
            axes = grid.add_axes(figure, i)
            _panel(axes, panel, palette, changes, first=grid.is_first(i))
            _heading(axes, panel, grid.side, palette)
        return figure


def _limits(values: list[float]) -> tuple[float, float]:
    """Return the ends of an axis: a little beyond the values, and never one and the same."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    pad = 0.08 * (high - low) or 0.05 * (abs(high) or 1.0)
    return low - pad, high + pad


def _panel(axes: Any, panel: Panel, palette: Palette, changes: list[float], *, first: bool) -> None:
    ticker = import_extra("matplotlib.ticker", "report")
    axes.set_ylim(*_limits(changes))
    ends = _limits([x for x, _ in panel.points])
    axes.set_xlim(*(reversed(ends) if panel.falling else ends))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(4, steps=[1, 2, 5, 10]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(_tick))
    bare_axes(axes, palette, SMALL, grid="both")
    axes.tick_params(axis="y", labelleft=first)
    if panel.points:
        style = {"color": palette.accent, "markersize": 4.2, "markeredgecolor": palette.paper}
        axes.plot(*zip(*panel.points, strict=True), "o", markeredgewidth=0.5, **style)


def _tick(value: float, _: int) -> str:
    return plain(value, 6).rstrip("0").rstrip(".")


def _heading(axes: Any, panel: Panel, wide: float, palette: Palette) -> None:
    shared = {"textcoords": "offset points", "xycoords": "axes fraction", "parse_math": False}
    muted = {"color": palette.muted, "fontsize": SMALL}
    lines = wrap_words(panel.title, wide, TEXT, bold=True)
    title = {"color": palette.ink, "fontsize": TEXT, "weight": "bold", "linespacing": 1.1}
    axes.annotate("\n".join(lines), (0, 1), (0, 17), va="bottom", **title, **shared)
    axes.annotate(panel.finding, (0, 1), (0, 5), **muted, **shared)
    if panel.falling:
        note = "axis turned: smaller is more similar"
        axes.annotate(note, (1, 0), (0, -15), ha="right", va="top", **muted, **shared)
