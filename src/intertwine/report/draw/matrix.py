"""The main figure of every study: source rows × target columns, after the paper's Table 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.report.draw.colours import LIGHT, Palette, cell_colour, ink_on
from intertwine.report.draw.export import settings
from intertwine.report.draw.frame import empty_figure, flow
from intertwine.report.draw.text import width, wrap, wrap_words
from intertwine.report.shapes import CONTROL, NATIVE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from intertwine.report.shapes import Cell, Label, Matrix, Swatch

# All lengths are inches, all font sizes points.
MARGIN = 0.3
GUTTER = 0.035  # between cells
GAP = 0.1  # sets the controls apart, and the layers of one network from those of another
SMALLEST_WIDTH = 7.0
CHANGE, INTERVAL, NOTE, TITLE = 8.5, 6.3, 8.0, 12.0
LINE = 1.3 / 72  # inches of line height a point


@dataclass(frozen=True)
class _Sizes:
    """How large cells and names are, and whether the columns' names are upright."""

    narrowest: float
    widest: float
    height: float
    value: float
    label: float
    row_room: float
    row_lines: int
    upright: bool


ROOMY = _Sizes(1.02, 1.9, 0.72, value=12.5, label=8.5, row_room=1.9, row_lines=3, upright=False)
COMPACT = _Sizes(0.4, 0.4, 0.3, value=7.5, label=7.5, row_room=2.6, row_lines=2, upright=True)


def matrix(content: Matrix, palette: Palette = LIGHT) -> Figure:
    """Draw the main figure.

    It is as large as its content needs: text has the same size for any number of spaces.
    """
    with settings():
        return _Sheet(content, palette).draw()


@dataclass
class _Pen:
    """Draws at places measured in inches from the top left corner."""

    axes: Any
    palette: Palette

    def text(self, x: float, y: float, text: str, size: float, **style: Any) -> None:
        style = {"color": self.palette.ink, "va": "center"} | style
        self.axes.text(x, y, text, fontsize=size, parse_math=False, **style)

    def box(self, x: float, y: float, size: tuple[float, float], fill: str, edge: str = "") -> None:
        patches = import_extra("matplotlib.patches", "report")
        inset = 0.008 if edge else 0.0  # the outline stays inside the cell
        self.axes.add_patch(
            patches.Rectangle(
                (x + inset, y + inset),
                size[0] - 2 * inset,
                size[1] - 2 * inset,
                facecolor=fill,
                edgecolor=edge or "none",
                linewidth=1.1 if edge else 0.0,
            )
        )


class _Sheet:
    """The layout of the figure: measured first, then drawn from the top down."""

    def __init__(self, content: Matrix, palette: Palette) -> None:
        self.content, self.palette = content, palette
        self.sizes = sizes = COMPACT if content.compact else ROOMY
        n = len(content.labels)
        self.rows = [
            wrap(label.name, sizes.row_room, sizes.label, lines=sizes.row_lines)
            for label in content.labels
        ]
        names = max(width(line, sizes.label) for row in self.rows for line in row)
        words = max(width(f"{word} ↓", NOTE) for word in content.row_title.split())
        self.left = MARGIN + 0.12 + max(names, words)
        room = SMALLEST_WIDTH - self.left - MARGIN
        self.cell = (min(max(room / n, sizes.narrowest), sizes.widest), sizes.height)
        self.columns = self.rows if sizes.upright else self._columns()
        self.width = max(self.left + self._offset(n, self.cell[0]) + MARGIN, SMALLEST_WIDTH)
        self.text_room = self.width - 2 * MARGIN
        self.title = wrap_words(content.title, self.text_room, TITLE, bold=True)
        self.notes = [
            line for note in content.notes for line in wrap_words(note, self.text_room, NOTE)
        ]
        self.swatches = self._place_swatches()

    def _columns(self) -> list[list[str]]:
        room = self.cell[0] - 0.06
        return [wrap(label.name, room, self.sizes.label, lines=4) for label in self.content.labels]

    def _offset(self, index: int, size: float) -> float:
        """Return where the cell of an index begins, the gaps before it included."""
        controls = [i for i, label in enumerate(self.content.labels) if label.control]
        starts = self.content.starts | {i for i in controls[:1] if i > 0}
        gaps = sum(start <= index for start in starts)
        return index * (size + GUTTER) + gaps * GAP

    def _place_swatches(self) -> list[tuple[float, int, Swatch]]:
        """Return x, line and swatch for the legend, flowing onto further lines when it must."""
        legend = self.content.legend
        widths = [0.2 + 0.07 + width(swatch.text, NOTE) + 0.12 for swatch in legend]
        places = flow(widths, MARGIN, self.width - MARGIN)
        return [(x, line, swatch) for (x, line), swatch in zip(places, legend, strict=True)]

    def draw(self) -> Figure:
        """Draw it all."""
        n = len(self.content.labels)
        headings = self._headings()
        top = MARGIN + len(self.title) * TITLE * LINE + 0.1
        cells = top + 0.26 + headings + 0.06
        legend = cells + self._offset(n, self.cell[1]) + 0.22
        notes = legend + 0.26 + (self.swatches[-1][1] + 1 if self.swatches else 0) * 0.22 + 0.06
        height = notes + len(self.notes) * NOTE * LINE + MARGIN - 0.06
        figure, axes = self._canvas(height)
        pen = _Pen(axes, self.palette)
        self._lines(pen, MARGIN, self.title, TITLE, weight="bold")
        self._titles(pen, top + 0.08, cells)
        for i, row in enumerate(self.content.cells):
            y = cells + self._offset(i, self.cell[1])
            self._row_label(pen, y, self.rows[i], self.content.labels[i])
            for j, cell in enumerate(row):
                self._cell(pen, self.left + self._offset(j, self.cell[0]), y, cell)
        self._legend(pen, legend)
        self._lines(pen, notes, self.notes, NOTE, color=self.palette.muted)
        return figure

    def _headings(self) -> float:
        """Return how high the columns' names are."""
        if self.sizes.upright:
            return max(width(line, self.sizes.label) for lines in self.columns for line in lines)
        return max(len(lines) for lines in self.columns) * self.sizes.label * LINE

    def _canvas(self, height: float) -> tuple[Figure, Any]:
        figure = empty_figure((self.width, height), self.palette)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, self.width)
        axes.set_ylim(height, 0)
        return figure, axes

    def _lines(self, pen: _Pen, y: float, lines: list[str], size: float, **style: Any) -> None:
        for i, line in enumerate(lines):
            pen.text(MARGIN, y + (i + 0.5) * size * LINE, line, size, **style)

    def _titles(self, pen: _Pen, y: float, cells: float) -> None:
        muted = {"color": self.palette.muted}
        pen.text(self.left, y, f"{self.content.column_title} →", NOTE, **muted)
        row_title = wrap_words(f"{self.content.row_title} ↓", self.left - MARGIN - 0.12, NOTE)
        for i, line in enumerate(reversed(row_title)):
            place = cells - 0.06 - (i + 0.5) * NOTE * LINE
            pen.text(self.left - 0.12, place, line, NOTE, ha="right", **muted)
        for j, (lines, label) in enumerate(zip(self.columns, self.content.labels, strict=True)):
            x = self.left + self._offset(j, self.cell[0]) + self.cell[0] / 2
            self._column_label(pen, x, cells - 0.06, lines, label)

    def _column_label(self, pen: _Pen, x: float, y: float, lines: list[str], label: Label) -> None:
        """Write a column's name above a place."""
        step, style = self.sizes.label * LINE, self._label_style(label)
        if self.sizes.upright:
            first = x - (len(lines) - 1) * step / 2
            upright = {"rotation": 90, "va": "bottom", "ha": "center"}
            for i, line in enumerate(lines):
                pen.text(first + i * step, y, line, self.sizes.label, **upright, **style)
            return
        for i, line in enumerate(reversed(lines)):
            pen.text(x, y - (i + 0.5) * step, line, self.sizes.label, ha="center", **style)

    def _label_style(self, label: Label) -> dict[str, str]:
        return {"color": self.palette.muted, "style": "italic"} if label.control else {}

    def _row_label(self, pen: _Pen, y: float, lines: list[str], label: Label) -> None:
        step = self.sizes.label * LINE
        middle = y + self.cell[1] / 2 - (len(lines) - 1) * step / 2
        style = self._label_style(label)
        for i, line in enumerate(lines):
            place = middle + i * step
            pen.text(self.left - 0.12, place, line, self.sizes.label, ha="right", **style)

    def _cell(self, pen: _Pen, x: float, y: float, cell: Cell) -> None:
        ground, edge, ink = self._colours(cell)
        pen.box(x, y, self.cell, ground, edge)
        large = self.sizes.value
        lines = [(cell.value, large), (cell.change, CHANGE), (cell.interval, INTERVAL)]
        shown = [(text, size) for text, size in lines if text]
        place = y + (self.cell[1] - sum(size for _, size in shown) * LINE) / 2
        for text, size in shown:
            style = {"weight": "bold"} if size == large and cell.kind == NATIVE else {}
            centre = x + self.cell[0] / 2
            pen.text(centre, place + size * LINE / 2, text, size, ha="center", color=ink, **style)
            place += size * LINE

    def _colours(self, cell: Cell | Swatch) -> tuple[str, str, str]:
        """Return ground, outline and ink."""
        palette = self.palette
        if cell.kind == CONTROL:
            return palette.panel, "", palette.muted
        if cell.kind == NATIVE:
            return palette.paper, palette.ink, palette.ink
        ground = cell_colour(palette, cell.shade)
        return ground, palette.rule if cell.shade is None else "", ink_on(palette, ground)

    def _legend(self, pen: _Pen, y: float) -> None:
        if self.swatches:
            pen.text(MARGIN, y + 0.08, self.content.legend_title, NOTE, color=self.palette.muted)
        for x, line, swatch in self.swatches:
            place = y + 0.26 + line * 0.22
            ground, edge, _ = self._colours(swatch)
            pen.box(x, place, (0.2, 0.15), ground, edge or self.palette.rule)
            pen.text(x + 0.27, place + 0.075, swatch.text, NOTE)
