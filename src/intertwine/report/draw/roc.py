"""Small figures of error rates: ROC over a logarithmic FAR, or DET on normal-deviate axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from intertwine.extras import import_extra
from intertwine.report.draw.colours import LIGHT, Palette
from intertwine.report.draw.export import settings
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
    """Draw one small figure of error rates a panel.

    Parameters
    ----------
    content
        The panels, their common axes and the legend.
    palette
        The colours of one theme.
    narrow
        Draw it for a telephone instead of a page.

    Returns
    -------
    figure
        As high as its panels need, each curve as the group `pair-0-0`, `pair-0-1` … by panel.
    """
    with settings():
        return _Sheet(content, palette, narrow=narrow).draw()


class _Sheet:
    """Where everything stands: measured first, then drawn from the top down."""

    def __init__(self, content: Rates, palette: Palette, *, narrow: bool) -> None:
        self.content, self.palette = content, palette
        self.width, columns = NARROW if narrow else WIDE
        self.columns = min(columns, max(len(content.panels), 2))
        room = self.width - LEFT - RIGHT - (self.columns - 1) * GAP
        self.side = min(room / self.columns, LARGEST)
        self.headings = [self._heading(panel) for panel in content.panels]
        self.heading = (
            max(len(a) * TEXT + len(b) * SMALL for a, b in self.headings) * LINE * 1.1 + 0.12
        )
        self.entries = self._place_legend()
        self.top = 0.2 * (2 + self.entries[-1][1]) + 0.08

    def _heading(self, panel: RocPanel) -> tuple[list[str], list[str]]:
        title = wrap(panel.title, self.side, TEXT, lines=2, bold=True)
        lines = [line for said in panel.findings for line in wrap(said, self.side, SMALL, lines=2)]
        return title, lines

    def _place_legend(self) -> list[tuple[float, int, str, str]]:
        """Return x, line, kind and text of each entry, flowing onto further lines."""
        placed: list[tuple[float, int, str, str]] = []
        x, line = 0.1, 0
        for kind, text in self.content.legend:
            needed = 0.45 + width(text, TEXT)
            if placed and x + needed > self.width - RIGHT:
                x, line = 0.1, line + 1
            placed.append((x, line, kind, text))
            x += needed + 0.25
        return placed

    def draw(self) -> Figure:
        step = self.heading + self.side + AXIS
        rows = math.ceil(len(self.content.panels) / self.columns)
        high = self.top + rows * step + FOOT
        figures = import_extra("matplotlib.figure", "report")
        figure: Figure = figures.Figure(figsize=(self.width, high), facecolor=self.palette.paper)
        self._legend(figure, high)
        for i in range(len(self.content.panels)):
            row, column = divmod(i, self.columns)
            left = LEFT + column * (self.side + GAP)
            bottom = high - self.top - row * step - self.heading - self.side
            place = (left / self.width, bottom / high, self.side / self.width, self.side / high)
            axes = figure.add_axes(place)
            self._frame(axes, first=column == 0)
            self._lines(axes, i)
            self._title(axes, i)
        said: dict[str, Any] = {"fontsize": TEXT, "color": self.palette.muted, "va": "center"}
        figure.text(0.1 / self.width, 1 - (self.top - 0.1) / high, self.content.y_title, **said)
        right = LEFT + self.columns * (self.side + GAP) - GAP
        place_x = (right / self.width, 0.16 / high)
        figure.text(*place_x, self.content.x_title, ha="right", **said)
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
        for x, line, kind, text in self.entries:
            y = 1 - (0.14 + 0.2 * line) / high
            ends = [x / self.width, (x + 0.3) / self.width]
            figure.add_artist(lines.Line2D(ends, [y, y], **self._style(kind)))
            style: dict[str, Any] = {"fontsize": TEXT, "color": self.palette.ink, "va": "center"}
            figure.text((x + 0.38) / self.width, y, text, **style)

    def _frame(self, axes: Any, *, first: bool) -> None:
        content, palette = self.content, self.palette
        axes.set_facecolor("none")
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
        axes.tick_params(labelsize=SMALL, labelcolor=palette.muted, length=0, pad=3)
        axes.grid(color=palette.rule, linewidth=0.5)
        axes.set_axisbelow(True)
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(palette.rule)

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
