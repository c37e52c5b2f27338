"""What a page is made of and charts are drawn from: plain text, shades and points.

Every study fills the same shapes, so that all reports share one cell layout and one look.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PAIR, NATIVE, CONTROL = "pair", "native", "control"
DASH = "–"


@dataclass(frozen=True)
class Text:
    """A piece of display text.

    The note is shown on hovering; for an undefined number it is the reason. The kind is
    `undefined`, `control`, `code`, `formula` or empty.
    """

    text: str
    note: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading, whether it holds numbers, and what it means."""

    title: str
    numeric: bool = True
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A plain table of display text: a caption of one sentence, and one list of texts a row.

    The first text of a row is its heading.
    """

    caption: str
    columns: list[Column]
    rows: list[list[Text]]


@dataclass(frozen=True)
class Cell:
    """One cell of the main figure: a score (large), its change (small), its interval (smallest).

    The shade runs from −1 (all is lost, deepest red) over 0 to 1 (deepest blue); None leaves the
    cell unshaded. The kind is `pair`, `native` (the diagonal) or `control`. `detail` are lines that
    are shown on hovering.
    """

    value: str
    change: str = ""
    interval: str = ""
    shade: float | None = None
    kind: str = PAIR
    detail: tuple[str, ...] = ()


@dataclass(frozen=True)
class Label:
    """A row's or column's name in a figure, whether it is a control, and whose layer it is."""

    name: str
    control: bool = False
    network: str = ""


@dataclass(frozen=True)
class Swatch:
    """One entry of the main figure's legend; `shade` and `kind` are those of a cell."""

    text: str
    shade: float | None = None
    kind: str = PAIR


@dataclass(frozen=True)
class Matrix:
    """The main figure: source rows × target columns, one list of cells a source.

    `title` is the finding or the question in one line, `legend_title` what the colours measure, and
    `notes` the lines under the figure: how much data, why a cell is undefined. With `compact` there
    are so many spaces that cells are small and hold their value alone.
    """

    title: str
    row_title: str
    column_title: str
    labels: list[Label]
    cells: list[list[Cell]]
    legend: list[Swatch]
    legend_title: str
    notes: list[str] = field(default_factory=list)
    compact: bool = False

    @property
    def starts(self) -> frozenset[int]:
        """Where the layers of another network begin; nowhere when labels name no network."""
        networks = [label.network for label in self.labels]
        return frozenset(i for i in range(1, len(networks)) if networks[i] != networks[i - 1])


@dataclass(frozen=True)
class Line:
    """One line of the curve: a name and its points (x, y), undefined points left out."""

    name: str
    points: list[tuple[float, float]]
    control: bool = False


@dataclass(frozen=True)
class Mark:
    """A reference beside the curve: a horizontal line when `x` is None, else a point."""

    text: str
    y: float
    x: float | None = None


@dataclass(frozen=True)
class Curve:
    """Scores over the number of fit rows, on a logarithmic x axis: one line a pair.

    The median, drawn thick, is over pairs without a control. Marks are references: the ceiling,
    chance, somebody else's result. Empty ticks are the decades and steps that suit large losses.
    """

    x_title: str
    y_title: str
    lines: list[Line]
    median: Line
    marks: list[Mark]
    x_ticks: tuple[int, ...] = ()
    y_ticks: tuple[float, ...] = ()


@dataclass(frozen=True)
class Tile:
    """A headline number: what it is, its value, where it was found, and the paper's."""

    title: str
    value: Text
    where: str = ""
    paper: str = ""


@dataclass(frozen=True)
class Join:
    """Two branches of a tree that meet at a height.

    `places` are where they run, in leaves from the top (the new branch runs half-way between), and
    `heights` where each begins.
    """

    places: tuple[float, float]
    heights: tuple[float, float]
    height: float


@dataclass(frozen=True)
class Tree:
    """A dendrogram: the leaves from top to bottom, the joins, the nearest first, and the scale.

    `x_title` is what the height of a join measures, `limit` the largest that it could be.
    """

    x_title: str
    labels: list[Label]
    joins: list[Join]
    limit: float


@dataclass(frozen=True)
class Plane:
    """A map of spaces in which distances, of some unit, mean something and directions nothing.

    `paths` are spaces to join by a line, as indexes: the layers of one network in order.
    """

    labels: list[Label]
    points: list[tuple[float, float]]
    paths: list[list[int]]
    unit: str


@dataclass(frozen=True)
class Panel:
    """One small scatter of (score, change) of each pair, over a measure, with the finding.

    With `falling` smaller scores are more similar, and the axis is turned round.
    """

    title: str
    finding: str
    points: list[tuple[float, float]]
    falling: bool = False


@dataclass(frozen=True)
class Scatter:
    """Small scatters over one common y axis."""

    y_title: str
    panels: list[Panel]


@dataclass(frozen=True)
class RatePanel:
    """One small figure of rates: a line a pair of systems, their median, drawn thick, and chance.

    `native` is the median of probes of the gallery's own system, drawn dashed; None without any.
    """

    title: str
    x_title: str
    lines: list[Line]
    median: Line
    chance: Line
    native: Line | None
