"""Small figures of error rates: ROC over a logarithmic FAR, or DET on normal-deviate axes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from intertwine.extras import import_extra
from intertwine.report.draw.colours import LIGHT, Palette
from intertwine.report.draw.export import settings
from intertwine.report.draw.frame import Grid, bare_axes, empty_figure, flow
from intertwine.report.draw.text import width, wrap
from intertwine.report.numbers import significant
from intertwine.report.rates import CHOSEN, MAPPED, SOURCE, TARGET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from intertwine.report.rates import Rates, RocPanel

# All lengths are inches, all font sizes points.
WIDE, NARROW = (8.6, 3), (4.3, 2)  # width, panels in a row
TEXT, SMALL = 8.5, 7.5
LEFT, RIGHT, FOOT, GAP, AXIS = 0.48, 0.14, 0.32, 0.26, 0.32
LINE = 1.3 / 72  # inches of line height a point
LARGEST = 2.6  # side of a panel
DECADES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
DEVIATES = (1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5)


def roc(content: Rates, palette: Palette = LIGHT, *, narrow: bool = False) -> Figure:
    """Draw one small figure of error rates a panel, as high as the panels need.

    Each curve is the group `pair-0-0`, `pair-0-1` … by panel.
    """
    with settings():
        return _Sheet(content, palette, narrow=narrow).draw()


class _Sheet:
    """The layout of the figure: measured first, then drawn from the top down."""

    def __init__(self, content: Rates, palette: Palette, *, narrow: bool) -> None:
        self.content, self.palette = content, palette
        self.width, columns = NARROW if narrow else WIDE
        columns = min(columns, max(len(content.panels), 2))
        widths = [0.45 + width(text, TEXT) for _, text in content.legend]
        self.places = flow(widths, 0.1, self.width - RIGHT, gap=0.25)
        grid = Grid(
            len(content.panels),
            columns,
            self.width,
            left=LEFT,
            right=RIGHT,
            gap=GAP,
            top=0.2 * (2 + self.places[-1][1]) + 0.08,
            heading=0,
            axis=AXIS,
            foot=FOOT,
            largest=LARGEST,
        )
        self.headings = [self._heading(panel, grid.side) for panel in content.panels]
        lines = max(len(a) * TEXT + len(b) * SMALL for a, b in self.headings)
        self.grid = replace(grid, heading=lines * LINE * 1.1 + 0.12)

    def _heading(self, panel: RocPanel, room: float) -> tuple[list[str], list[str]]:
        title = wrap(panel.title, room, TEXT, lines=2, bold=True)
        lines = [line for text in panel.findings for line in wrap(text, room, SMALL, lines=2)]
        return title, lines

    def draw(self) -> Figure:
        """Draw it all."""
        grid, high = self.grid, self.grid.high
        figure = empty_figure((self.width, high), self.palette)
        self._legend(figure, high)
        for i in range(grid.n):
            axes = grid.add_axes(figure, i)
            self._frame(axes, first=grid.is_first(i))
            self._lines(axes, i)
            self._title(axes, i)
        style: dict[str, Any] = {"fontsize": TEXT, "color": self.palette.muted, "va": "center"}
        figure.text(0.1 / self.width, 1 - (grid.top - 0.1) / high, self.content.y_title, **style)
        right = LEFT + grid.columns * (grid.side + GAP) - GAP
        place_x = (right / self.width, 0.16 / high)
        figure.text(*place_x, self.content.x_title, ha="right", **style)
        return figure

    def _style(self, kind: str) -> dict[str, Any]:
        palette = self.palette
        return {
            TARGET: {"color": palette.ink, "linewidth": 1.7},
            SOURCE: {"color": palette.ink, "linewidth": 1.2, "linestyle": (0, (3, 1.5))},
            MAPPED: {"color": palette.faint, "linewidth": 0.9, "alpha": 0.85},
            CHOSEN: {"color": palette.accent, "linewidth": 1.7},
        }[kind]

    def _legend(self, figure: Figure, high: float) -> None:
        lines = import_extra("matplotlib.lines", "report")
        for (x, line), (kind, text) in zip(self.places, self.content.legend, strict=True):
            y = 1 - (0.14 + 0.2 * line) / high
            ends = [x / self.width, (x + 0.3) / self.width]
            figure.add_artist(lines.Line2D(ends, [y, y], **self._style(kind)))
            style: dict[str, Any] = {"fontsize": TEXT, "color": self.palette.ink, "va": "center"}
            figure.text((x + 0.38) / self.width, y, text, **style)

    def _frame(self, axes: Any, *, first: bool) -> None:
        content, palette = self.content, self.palette
        if content.deviate:
            axes.set_xscale("function", functions=(_deviate, ndtr))
            axes.set_yscale("function", functions=(_deviate, ndtr))
        else:
            axes.set_xscale("log")
        axes.set_xlim(*content.x_limits)
        axes.set_ylim(*content.y_limits)
        (low, high), (bottom, top) = content.x_limits, content.y_limits
        choices = DEVIATES if content.deviate else DECADES
        across = [tick for tick in choices if low <= tick <= high]
        up = [tick for tick in choices if bottom <= tick <= top]
        up = up if content.deviate else _even(bottom)
        axes.set_xticks(across, [significant(100 * tick) for tick in across])
        axes.set_yticks(up, [significant(100 * tick) for tick in up] if first else [""] * len(up))
        axes.minorticks_off()
        bare_axes(axes, palette, SMALL, grid="both")

    def _lines(self, axes: Any, index: int) -> None:
        content = self.content
        for i, line in enumerate(content.panels[index].lines):
            points = np.array(line.points)  # (points, 2)
            xs = np.maximum(points[:, 0], content.x_limits[0])
            # A DET curve leaves its axes at a slope; a ROC curve ends on their upper edge.
            ys = points[:, 1] if content.deviate else np.clip(points[:, 1], *content.y_limits)
            style = {"gid": f"pair-{index}-{i}", "solid_joinstyle": "round"}
            axes.plot(xs, ys, clip_on=content.deviate, **style, **self._style(line.kind))

    def _title(self, axes: Any, index: int) -> None:
        title, findings = self.headings[index]
        shared = {"textcoords": "offset points", "xycoords": "axes fraction", "parse_math": False}
        below = 5.0
        style = {"va": "bottom", "linespacing": 1.3}
        muted = {"color": self.palette.muted, "fontsize": SMALL}
        axes.annotate("\n".join(findings), (0, 1), (0, below), **muted, **style, **shared)
        below += len(findings) * SMALL * 1.4 + 1
        bold = {"color": self.palette.ink, "fontsize": TEXT, "weight": "bold"}
        axes.annotate("\n".join(title), (0, 1), (0, below), **bold, **style, **shared)


def _deviate(values: Any) -> Any:
    """Return normal deviates; 0 and 1 stay finite, as matplotlib probes them."""
    return ndtri(np.clip(values, 1e-12, 1 - 1e-12))


def _even(low: float) -> list[float]:
    """Return at most six even ticks from a tenth up to 1."""
    tenths = round(10 * (1 - low))
    step = 0.02 if tenths == 1 else 0.05 if tenths == 2 else 0.1 * math.ceil(tenths / 5)
    return [1 - k * step for k in range(6) if 1 - k * step > low - 1e-9]
