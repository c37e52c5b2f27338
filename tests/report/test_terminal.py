import io
import re

import pytest
from rich.console import Console
from rich.text import Text as TerminalText

from intertwine.report.schema import REASON, Field, TableSchema
from intertwine.report.shapes import DASH, Text
from intertwine.report.terminal import legend, numbered, terminal_matrix, terminal_table

TABLE = TableSchema(
    "scores",
    "One row a pair.",
    (
        Field("source", "name", "Source", short="Source"),
        Field("target", "name", "Target", short="Target"),
        Field("rate", title="Rate, %", interval=True, short="R, %", meaning="the share found"),
        Field("n", "count", "Rows", short="Rows"),
        Field("d", "number", "D", short="D"),
        Field("guess", "chance", "Chance, %"),
        REASON,
    ),
)
# Names of 40 letters that differ in the middle alone.
LONG = [f"tf_efficientnetv2_base_{letter * 2}_in21k_ft_in1k_e" for letter in "abcdef"]
WIDTHS = (60, 80, 120)


def row(source, target):
    """Return a row of the table."""
    rate = {"rate": 0.1234, "rate_low": 0.1, "rate_high": 0.2}
    return {"source": source, "target": target, **rate, "n": 1200, "d": 0.12345}


def shown(table, width):
    """Return the lines that a terminal shows."""
    stream = io.StringIO()
    Console(file=stream, width=width).print(table, highlight=False)
    return stream.getvalue().splitlines()


def body(lines):
    """Return the texts of the lines of a table's body."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]


def headings(lines):
    """Return the texts of the headings of each table, in order."""
    return [
        [cell.strip() for cell in line.split("┃")[1:-1]] for line in lines if line.startswith("┃")
    ]


def names_of(lines):
    """Return which name each number stands for."""
    found = (re.fullmatch(r"(\d+) = (\S+)", line.strip()) for line in lines)
    return {each[1]: each[2] for each in found if each}


@pytest.mark.parametrize("intervals", [False, True])
def test_the_terminal_shows_the_short_headings(intervals):
    """The terminal's table has the short headings and fewer decimals; names are no markup."""
    rows = [row("[red]a", "[x]"), TABLE.undefined("too few", source="b", target="c", n=3)]
    lines = shown(
        terminal_table(
            TABLE, rows, "Of [bold]these", width=100, intervals=intervals, without=["n"]
        ),
        100,
    )
    rate = "12.3 (10.0 to 20.0)" if intervals else "12.3"
    assert lines[0].strip() == "Of [bold]these"
    assert body(lines) == [["[red]a", "[x]", rate, "0.12"], ["b", "c", DASH, DASH]]
    assert headings(lines) == [["Source", "Target", "R, %", "D"]]
    assert lines[-1] == "R, %: the share found"


def test_the_terminal_shows_what_a_caller_says():
    """A caller's own text stands in place of the kind's."""
    show = {"n": lambda row, _: f"{row['n']} rows", "rate": lambda *_: Text("?")}
    table = terminal_table(TABLE, [row("a", "b")], "Title", width=80, show=show)
    assert body(shown(table, 80)) == [["a", "b", "?", "1200 rows", "0.12"]]


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_of_a_table_have_numbers(width):
    """Names that do not fit are numbers with a legend, which says every name in full."""
    pairs = [(a, b) for a in LONG[:3] for b in LONG[:3] if a != b]
    table = terminal_table(TABLE, [row(*pair) for pair in pairs], "Title", width=width)
    lines = shown(table, width)
    assert max(map(len, lines)) <= width
    texts = body(lines)
    if width == 120:
        assert [tuple(line[:2]) for line in texts] == pairs
        assert names_of(lines) == {}
        return
    names = names_of(lines)
    assert sorted(names.values()) == LONG[:3]
    assert [(names[line[0]], names[line[1]]) for line in texts] == pairs
    assert all(line[2:] == ["12.3", "1,200", "0.12"] for line in texts)


def cell(source, target):
    """Return a cell of two lines that says whose it is."""
    return TerminalText(f"{source[-19]}{target[-19]} 12.34 ±\n−0.12 %")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_long_names_of_a_matrix_have_numbers(width, n):
    """Every cell stands under the number of its column and beside that of its row."""
    names = LONG[:n]
    lines = shown(terminal_matrix("Title", "from ↓ to →", names, cell, width=width), width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    found, numbers = {}, []
    for line in lines:
        texts = [each.strip() for each in re.split("[┃│]", line)[1:-1]]
        if line.startswith("┏"):
            numbers = []
        elif line.startswith("┃"):
            # The corner may take several lines.
            numbers = numbers or (texts[1:] if texts[1] else [])
        elif line.startswith("│") and "±" in line:
            for number, text in zip(numbers, texts[1:], strict=True):
                found[full(texts[0], names_of(lines)), full(number, names_of(lines))] = text
    assert found == {(a, b): str(cell(a, b)).split("\n")[0] for a in names for b in names}


def full(label, legend_of):
    """Return the name that a label stands for: itself, or by the legend or its own number."""
    number, _, name = label.partition(" ")
    if not label[0].isdigit():
        return label
    name = name or legend_of.get(number) or LONG[int(number) - 1]
    assert LONG[int(number) - 1] == name
    return name


@pytest.mark.parametrize(
    ("width", "first"), [(61, ["a", "b", "c"]), (24, ["1", "2", "3"]), (16, ["1"])]
)
def test_short_names_head_columns_where_they_fit(width, first):
    """Short names head their columns; numbers do where that saves room."""
    names = ["a_short_name", "b_short_name", "c_short_name"]
    short = dict(zip("abc", names, strict=True))
    lines = shown(terminal_matrix("T", "", names, lambda *_: "0.5", width=width), width)
    heads = headings(lines)[0][1:]
    assert heads == [short.get(each, each) for each in first][: len(heads)]


def test_names_in_brackets_head_columns():
    """A name in brackets is no markup."""
    lines = shown(terminal_matrix("T", "[i]", ["[x]", "[/y]"], lambda a, b: a + b, width=80), 80)
    assert headings(lines) == [["[i]", "[x]", "[/y]"]]
    assert body(lines) == [["[x]", "[x][x]", "[x][/y]"], ["[/y]", "[/y][x]", "[/y][/y]"]]


def test_numbers_count_names_once():
    """A name has one number however often it occurs."""
    numbers = numbered(["b", "a", "b"])
    assert numbers == {"b": "1", "a": "2"}
    assert legend(numbers) == ["1 = b", "2 = a"]
