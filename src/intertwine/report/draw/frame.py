"""What charts share: an empty figure, bare axes, a grid of panels, and a legend that flows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure

    from intertwine.report.draw.colours import Palette


def empty_figure(size: tuple[float, float], palette: Palette) -> Figure:
    """Return a figure without axes; `size` is its width and height in inches."""
    figures = import_extra("matplotlib.figure", "report")
    figure: Figure = figures.Figure(figsize=size, facecolor=palette.paper)
    return figure


def bare_axes(
    axes: Any, palette: Palette, text: float, *, grid: str, pad: float = 3, line: float = 0.5
) -> None:
    """Leave of axes their numbers, thin lines across, and the line at the bottom.

    `text`, `pad` and `line` are points: the size of numbers, their distance, the width of lines.
    `grid` is the axis whose numbers have lines: `x`, `y` or `both`.
    """
    axes.set_facecolor("none")
    axes.tick_params(which="major", labelsize=text, labelcolor=palette.muted, length=0, pad=pad)
    axes.grid(axis=grid, color=palette.rule, linewidth=line)
    axes.set_axisbelow(True)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(palette.rule)


@dataclass(frozen=True)
class Grid:
    """Panels side by side and below each other; all lengths are inches."""

    n: int
    columns: int
    across: float
    # Room beside the panels and between them.
    left: float
    right: float
    gap: float
    # Room above the first row.
    top: float
    # Room above and below each panel.
    heading: float
    axis: float
    # Room below the last row.
    foot: float = 0.0
    # Of a panel; None makes it square.
    height: float | None = None
    # The most that a panel is wide.
    largest: float = math.inf

    @property
    def side(self) -> float:
        """The width of a panel."""
        room = self.across - self.left - self.right - (self.columns - 1) * self.gap
        return min(room / self.columns, self.largest)

    @property
    def panel_height(self) -> float:
        """The height of a panel."""
        return self.side if self.height is None else self.height

    @property
    def step(self) -> float:
        """How far one row is below the one before."""
        return self.heading + self.panel_height + self.axis

    @property
    def high(self) -> float:
        """The height of the figure."""
        return self.top + math.ceil(self.n / self.columns) * self.step + self.foot

    def is_first(self, index: int) -> bool:
        """Return whether a panel is the first of its row."""
        return index % self.columns == 0

    def add_axes(self, figure: Figure, index: int) -> Any:
        """Add the axes of a panel, counted in reading order."""
        row, column = divmod(index, self.columns)
        x = self.left + column * (self.side + self.gap)
        y = self.high - self.top - row * self.step - self.heading - self.panel_height
        box = (
            x / self.across,
            y / self.high,
            self.side / self.across,
            self.panel_height / self.high,
        )
        return figure.add_axes(box)


def flow(
    widths: Iterable[float], start: float, end: float, gap: float = 0.0
) -> list[tuple[float, int]]:
    """Return x and line of entries that flow from `start` onto further lines before `end`."""
    placed: list[tuple[float, int]] = []
    x, line = start, 0
    for width in widths:
        if x > start and x + width > end:
            x, line = start, line + 1
        placed.append((x, line))
        x += width + gap
    return placed
