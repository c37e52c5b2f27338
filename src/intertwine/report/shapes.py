"""What the summarise step hands to the other two: plain text, shades and points, no objects.

Every study fills the same shapes, so that all reports share one cell layout and one look.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PAIR, NATIVE, CONTROL = "pair", "native", "control"
DASH = "–"


@dataclass(frozen=True)
class Text:
    """A piece of display text.

    Parameters
    ----------
    text
        What is shown.
    note
        Said on hovering it; for an undefined number, the reason.
    kind
        `undefined`, `control`, `code`, `formula` or nothing.
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
    """A plain table of display text.

    Parameters
    ----------
    caption
        One sentence that says what the rows are.
    columns
        The headings.
    rows
        One list a row, one text a column. The first text is the row's heading.
    """

    caption: str
    columns: list[Column]
    rows: list[list[Text]]


@dataclass(frozen=True)
class Cell:
    """One cell of the main figure.

    Parameters
    ----------
    value
        The score, shown large.
    change
        Its change, shown small.
    interval
        The interval of the change, shown smallest.
    shade
        −1 (all is lost, deepest red) … 0 … 1 (deepest blue); None leaves the cell unshaded.
    kind
        `pair`, `native` (the diagonal) or `control`.
    detail
        Lines for whoever asks the cell for more.
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
    """The main figure: source rows × target columns.

    Parameters
    ----------
    title
        The finding or the question, one line.
    row_title, column_title
        What a row is and what a column is.
    labels
        The spaces, in the order of rows and of columns.
    cells
        One list a source, one cell a target.
    legend
        Its colours, each with what it stands for.
    legend_title
        What the colours measure.
    notes
        Lines under the figure: how much data, why a cell is undefined.
    compact
        Whether there are so many spaces that cells are small and hold their value alone.
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
    """Scores over the number of fit rows.

    Parameters
    ----------
    x_title, y_title
        What the axes measure; x is logarithmic.
    lines
        One a pair.
    median
        The median over the pairs that are no control's, drawn thick.
    marks
        References: the ceiling, chance, somebody else's result.
    x_ticks, y_ticks
        Where the axes are labelled; empty for the decades and for steps that suit large losses.
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
    """Two branches of a tree that meet: their places down the page, their heights, and the new one.

    Parameters
    ----------
    places
        Where the two branches run, in leaves from the top; the new branch runs half-way between.
    heights
        Where each branch begins.
    height
        Where they meet.
    """

    places: tuple[float, float]
    heights: tuple[float, float]
    height: float


@dataclass(frozen=True)
class Tree:
    """A dendrogram: the leaves from top to bottom, the joins, and the scale.

    Parameters
    ----------
    x_title
        What the height of a join measures.
    labels
        The leaves.
    joins
        The nearest first.
    limit
        The largest height that could be.
    """

    x_title: str
    labels: list[Label]
    joins: list[Join]
    limit: float


@dataclass(frozen=True)
class Plane:
    """A map of spaces in which distances mean something and directions nothing.

    Parameters
    ----------
    labels
        The spaces.
    points
        Where each stands.
    paths
        Spaces to join by a line, as indexes: the layers of one network in order.
    unit
        The unit of distance.
    """

    labels: list[Label]
    points: list[tuple[float, float]]
    paths: list[list[int]]
    unit: str


@dataclass(frozen=True)
class Panel:
    """One small scatter: what x is, what was found, and the points.

    Parameters
    ----------
    title, finding
        The measure, and its rank correlation.
    points
        (score, change) of a pair.
    falling
        Whether smaller scores are more similar, so that the axis is turned round.
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
    """One small figure of rates.

    Parameters
    ----------
    title, x_title
        What is measured, and over what.
    lines
        One a pair of systems.
    median
        Their median, drawn thick.
    chance
        What guessing gives, drawn dotted.
    native
        The median of probes of the gallery's own system, drawn dashed; None without any.
    """

    title: str
    x_title: str
    lines: list[Line]
    median: Line
    chance: Line
    native: Line | None


@dataclass(frozen=True)
class Dot:
    """One option on the axis of a measure.

    Parameters
    ----------
    name
        The option.
    text
        Its value, as shown beside it; an en dash when it is undefined.
    value, low, high
        In per cent; None when undefined.
    chosen
        Whether it is what the plan recommends.
    hollow
        Whether it is no option but a reference.
    """

    name: str
    text: str
    value: float | None
    low: float | None
    high: float | None
    chosen: bool
    hollow: bool


@dataclass(frozen=True)
class OptionPanel:
    """Every option by one measure.

    Parameters
    ----------
    title
        The measure.
    dots
        From top to bottom, the same options in every panel.
    references
        Upright lines: what each stands for, of which kind it is, and where.
    """

    title: str
    dots: list[Dot]
    references: list[tuple[str, str, float]]
