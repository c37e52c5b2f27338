"""Tables in the terminal; no name is ever cut: where names do not fit, numbers stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intertwine.report.numbers import THIN
from intertwine.report.schema import KINDS
from intertwine.report.shapes import DASH

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from intertwine.report.schema import Field, Row, TableSchema
    from intertwine.report.tables import Show

FRAME = 3  # characters that a column has about it; the table has one more


def numbered(names: Iterable[str]) -> dict[str, str]:
    """Return the number that stands for each name, from 1."""
    return {name: str(number) for number, name in enumerate(dict.fromkeys(names), 1)}


def legend(numbers: Mapping[str, str]) -> list[str]:
    """Return one line a name: the number that stands for it."""
    return [f"{number} = {name}" for name, number in numbers.items()]


def terminal_table(
    schema: TableSchema,
    rows: Sequence[Row],
    title: str,
    *,
    width: int,
    show: Mapping[str, Show] | None = None,
    without: Collection[str] = (),
    intervals: bool = False,
) -> RenderableType:
    """Return the short form of a table: the fields that have a `short` heading.

    `show` and `without` are those of `page_table`; with `intervals` numbers have theirs in
    brackets. Where the table with its names is wider than `width`, numbers stand for them. Lines
    below say which, and what headings mean.
    """
    show = show or {}
    fields = [each for each in schema.fields if each.short and each.key not in without]
    columns = [
        [_short(each, row, show.get(each.key), intervals) for row in rows] for each in fields
    ]
    names = [
        at
        for at, each in enumerate(fields)
        if each.kind == "name" and not (each.show or each.key in show)
    ]
    widest = [
        max(map(_width, [each.short, *texts])) for each, texts in zip(fields, columns, strict=True)
    ]
    numbers: dict[str, str] = {}
    if _fitted(widest) > width:
        pairs = zip(*(columns[at] for at in names), strict=True)
        numbers = numbered(name for pair in pairs for name in pair)
        for at in names:
            columns[at] = [numbers[name] for name in columns[at]]
    table = _table(title)
    for each in fields:
        _add_column(table, each.short, right=KINDS[each.kind].numeric)
    for texts in zip(*columns, strict=True):
        table.add_row(*map(_text, texts))
    meanings = [f"{each.short}: {each.meaning}" for each in fields if each.meaning]
    return _with_lines([table], [*legend(numbers), *meanings])


def terminal_matrix(
    title: str,
    corner: str,
    names: Sequence[str],
    cell: Callable[[str, str], str | Text],
    *,
    width: int,
) -> RenderableType:
    """Return a table of every space against every other: `cell` shows a row's and a column's.

    Where it is wider than `width`, columns are headed by numbers, and rows by their number and
    name, or by numbers too with a legend below; where even that is too wide, columns are parted
    among several tables.
    """
    cells = [[_text(cell(row, column)) for column in names] for row in names]
    content = [max(_width(line[at].plain) for line in cells) for at in range(len(names))]
    numbers = numbered(names)
    both = [f"{number} {name}" for name, number in numbers.items()]
    only = list(numbers.values())
    layouts = [
        _Layout.of(corner, list(names), list(names), content, width),
        _Layout.of(corner, both, only, content, width),
        _Layout.of(corner, only, only, content, width),
    ]
    # The first of those that need the fewest tables; of those too wide even so, the narrowest.
    layout = min(layouts, key=lambda each: (each.spills, len(each.blocks)))
    if layout.spills:
        layout = layouts[-1]
    tables: list[Table] = []
    for block in layout.blocks:
        table = _table("" if tables else title)
        _add_column(table, corner, width=layout.first)
        for at in block:
            _add_column(table, layout.headings[at], right=True)
        for label, line in zip(layout.labels, cells, strict=True):
            table.add_row(_text(label), *(line[at] for at in block))
        tables.append(table)
    return _with_lines(tables, legend(numbers) if layout is layouts[-1] else [])


@dataclass(frozen=True)
class _Layout:
    """How rows and columns of a matrix are headed, and which columns each table holds."""

    labels: list[str]
    headings: list[str]
    first: int  # the width of the column of labels
    blocks: list[list[int]]
    spills: bool  # whether a table is wider than the terminal all the same

    @classmethod
    def of(
        cls, corner: str, labels: list[str], headings: list[str], content: list[int], width: int
    ) -> _Layout:
        """Return the layout with as many columns in each table as fit."""
        first = max(map(_width, [*corner.split(), *labels]))
        if _fitted([_width(corner), *content]) <= width:
            first = max(first, _width(corner))
        blocks: list[list[int]] = []
        sizes: list[int] = []
        spills = False
        for at, heading in enumerate(headings):
            size = max(_width(heading), content[at])
            if not blocks or _fitted([first, *sizes, size]) > width:
                blocks.append([])
                sizes = []
            blocks[-1].append(at)
            sizes.append(size)
            spills = spills or _fitted([first, *sizes]) > width
        return cls(labels, headings, first, blocks, spills)


def _width(text: str) -> int:
    """Return how many columns the longest line of a text takes."""
    from rich.cells import cell_len

    return max(map(cell_len, text.split("\n")))


def _fitted(sizes: Sequence[int]) -> int:
    """Return how wide a table of columns of these sizes is."""
    return sum(sizes) + FRAME * len(sizes) + 1


def _text(text: str | Text) -> Text:
    """Return a text as it is: brackets in a name are no markup."""
    from rich.text import Text

    return Text(text) if isinstance(text, str) else text


def _table(title: str) -> Table:
    from rich.table import Table
    from rich.text import Text

    return Table(title=Text(title, style="table.title", justify="center") if title else None)


def _add_column(
    table: Table, heading: str, *, right: bool = False, width: int | None = None
) -> None:
    table.add_column(
        _text(heading), justify="right" if right else "left", overflow="fold", width=width
    )


def _with_lines(tables: Sequence[Table], lines: Sequence[str]) -> RenderableType:
    """Return tables with the lines below them."""
    from rich.console import Group

    return Group(*tables, *map(_text, lines))


def _short(field: Field, row: Row, show: Show | None, intervals: bool) -> str:
    """Return what the terminal shows of a field."""
    kind = KINDS[field.kind]
    places = kind.terminal_places
    if show:
        shown = show(row, places)
        return shown if isinstance(shown, str) else shown.text
    text, *ends = (kind.write(row.get(key), places).replace(THIN, ",") for key in field.keys)
    if not intervals or not ends or DASH in (text, *ends):
        return text
    return f"{text} ({ends[0]} to {ends[1]})"
