"""The options of a plan: a dot with its interval an option, on one axis from nothing to ceiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.report.draw.colours import LIGHT, Palette
from intertwine.report.draw.export import settings
from intertwine.report.draw.frame import Grid, bare_axes, empty_figure, flow
from intertwine.report.draw.text import width, wrap
from intertwine.studies.plan.figures import ACCEPT, CEILING, WITHOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from intertwine.studies.plan.figures import Dot, OptionPanel

# All lengths are inches, all font sizes points.
WIDE, NARROW = 8.6, 4.3
TEXT, SMALL = 8.5, 7.5
NAMES = 2.3  # the most room for names, of a page; a telephone has less
SHORT = 1.4
RIGHT, TOP, FOOT, GAP = 0.2, 0.4, 0.34, 0.3
ROW = 0.4
KINDS = (CEILING, ACCEPT, WITHOUT)  # in order of the legend


def options(
    panels: Sequence[OptionPanel], palette: Palette = LIGHT, *, narrow: bool = False
) -> Figure:
    """Draw every option by each measure; panels, at least one, have the same options.

    Each option's dot is the group `option-0-0`, `option-0-1` … by panel. On a telephone (`narrow`)
    panels stand below each other.
    """
    with settings():
        return _Sheet(panels, palette, narrow=narrow).draw()


class _Sheet:
    """The layout of the figure: measured first, then drawn."""

    def __init__(self, panels: Sequence[OptionPanel], palette: Palette, *, narrow: bool) -> None:
        self.panels, self.palette = panels, palette
        self.across = NARROW if narrow else WIDE
        room = SHORT if narrow else NAMES
        self.names = [wrap(dot.name, room, TEXT, lines=2, bold=True) for dot in panels[0].dots]
        widest = max(width(line, TEXT, bold=True) for lines in self.names for line in lines)
        self.left = widest + 0.25
        self.columns = 1 if narrow else len(panels)
        seen = {kind: text for panel in panels for text, kind, _ in panel.references}
        self.entries = sorted(seen.items(), key=lambda item: KINDS.index(item[0]))
        widths = [0.36 + width(text, SMALL) + 0.2 for _, text in self.entries]
        self.places = flow(widths, 0.1, self.across)

    def draw(self) -> Figure:
        """Draw it all."""
        lines = 1 + max((line for _, line in self.places), default=-1)
        grid = Grid(
            len(self.panels),
            self.columns,
            self.across,
            left=self.left,
            right=RIGHT,
            gap=GAP,
            top=0.08 + lines * 0.2,
            heading=TOP,
            axis=FOOT,
            height=len(self.names) * ROW,
        )
        figure = empty_figure((self.across, grid.high), self.palette)
        self._legend(figure, grid.high)
        for i, panel in enumerate(self.panels):
            axes = grid.add_axes(figure, i)
            self._frame(axes, panel, named=grid.is_first(i))
            for j, dot in enumerate(panel.dots):
                self._dot(axes, dot, j, gid=f"option-{i}-{j}")
        return figure

    def _styles(self) -> dict[str, dict[str, Any]]:
        palette = self.palette
        return {
            CEILING: {"color": palette.ink, "linewidth": 1.2},
            ACCEPT: {"color": palette.ink, "linewidth": 1.1, "linestyle": (0, (3, 1.5))},
            WITHOUT: {"color": palette.muted, "linewidth": 1.1, "linestyle": (0, (1, 2))},
        }

    def _legend(self, figure: Any, total: float) -> None:
        lines = import_extra("matplotlib.lines", "report")
        for (x, line), (kind, text) in zip(self.places, self.entries, strict=True):
            y = 1 - (0.14 + line * 0.2) / total
            ends = [x / self.across, (x + 0.28) / self.across]
            figure.add_artist(lines.Line2D(ends, [y, y], **self._styles()[kind]))
            place = (x + 0.36) / self.across
            style = {"fontsize": SMALL, "color": self.palette.muted, "va": "center"}
            figure.text(place, y, text, parse_math=False, **style)

    def _frame(self, axes: Any, panel: OptionPanel, *, named: bool) -> None:
        palette = self.palette
        axes.set_xlim(0, 100)
        axes.set_ylim(len(panel.dots) - 0.5, -0.5)
        axes.set_xticks(range(0, 101, 20))
        axes.set_yticks([])
        bare_axes(axes, palette, SMALL, grid="x")
        axes.set_title(panel.title, fontsize=TEXT, color=palette.ink, loc="left", pad=6)
        axes.title.set_parse_math(False)
        for _, kind, x in panel.references:
            axes.axvline(x, zorder=1.5, clip_on=False, **self._styles()[kind])
        if named:
            self._names(axes, panel.dots)

    def _names(self, axes: Any, dots: Sequence[Dot]) -> None:
        palette = self.palette
        for i, dot in enumerate(dots):
            colour = palette.muted if dot.hollow else palette.ink
            axes.annotate(
                "\n".join(self.names[i]),
                (0, i),
                (-8, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=TEXT,
                weight="bold" if dot.chosen else "normal",
                color=palette.accent if dot.chosen else colour,
                parse_math=False,
            )

    def _dot(self, axes: Any, dot: Dot, place: int, *, gid: str) -> None:
        palette = self.palette
        colour = palette.accent if dot.chosen else palette.ink
        note = {"textcoords": "offset points", "fontsize": SMALL, "parse_math": False}
        if dot.value is None:
            text = f"{dot.text} undefined"
            axes.annotate(text, (0, place), (4, 0), va="center", color=palette.muted, **note)
            return
        if dot.low is not None and dot.high is not None:
            axes.plot([dot.low, dot.high], [place, place], color=colour, linewidth=1.8)
        fill = palette.paper if dot.hollow else colour
        style = {"color": colour, "markerfacecolor": fill, "markersize": 6.5, "clip_on": False}
        axes.plot([dot.value], [place], "o", gid=gid, zorder=3, **style)
        axes.annotate(
            dot.text,
            (dot.value, place),
            (0, 6),
            ha="center",
            va="bottom",
            color=colour,
            weight="bold" if dot.chosen else "normal",
            bbox={"facecolor": palette.paper, "edgecolor": "none", "pad": 0.6},
            zorder=2.5,
            **note,
        )
