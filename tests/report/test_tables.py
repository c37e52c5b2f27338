import pytest

from intertwine.report.numbers import SPACE, THIN
from intertwine.report.schema import REASON, Field, TableSchema
from intertwine.report.shapes import DASH, Column, Text
from intertwine.report.tables import page_table

TABLE = TableSchema(
    "scores",
    "One row a pair of {what}.",
    (
        Field("source", "name", "Source", short="Source"),
        Field("fit", "text", "Fit", short="Fit"),
        Field(
            "rate", title="Rate, %", note="with its {confidence} interval", interval=True, short="R"
        ),
        Field(
            "change",
            "percent",
            "Change, %",
            interval=("low", "high"),
            interval_title="{confidence} interval",
            interval_note="over people",
        ),
        Field("n", "count", "Rows", short="Rows", missing="not counted"),
        Field("d", "number", "D", short="D"),
        Field("alpha", "penalty", "λ"),
        Field("guess", "chance", "Chance, %"),
        Field("double", "count", "Double", derived=True, show=lambda row, _: str(2 * row["n"])),
        REASON,
    ),
)
ROW = {
    "source": "a",
    "fit": None,
    "rate": 0.1234,
    "rate_low": 0.1,
    "rate_high": 0.2,
    "change": -3.14,
    "low": -4,
    "high": None,
    "n": 1200,
    "d": 0.12345,
    "alpha": 31.6227766,
    "guess": 0.000123,
}
WORDS = {"what": "networks", "confidence": "95 %"}


def texts(table, row=0):
    """Return the texts of a row."""
    return [piece.text for piece in table.rows[row]]


def test_a_row_is_written_by_its_kinds():
    """Each kind has its form, an interval stands in brackets or in its own column."""
    table = page_table(TABLE, [ROW], 2, **WORDS)
    assert table.caption == "One row a pair of networks."
    between = f"10.00{SPACE}to{SPACE}20.00"
    written = [
        "a",
        "",
        f"12.34 [{between}]",
        "−3.14",
        DASH,
        f"1{THIN}200",
        "0.123",
        "31.6",
        "0.012",
    ]
    assert texts(table) == [*written, "2400"]


def test_columns_have_their_headings():
    """Headings and notes are those declared, names in braces filled in, numbers to the right."""
    columns = page_table(TABLE, [], 1, **WORDS).columns
    assert columns[0] == Column("Source", numeric=False)
    assert columns[2] == Column("Rate, %", note="with its 95 % interval")
    assert columns[4] == Column("95 % interval", note="over people")


def test_an_undefined_number_has_its_reason():
    """A dash has the field's own reason, else the row's, else that it was not measured."""
    row = TABLE.undefined("too few", source="a", n=None) | {"double": 1}
    table = page_table(TABLE, [row], 1, without=["double"], **WORDS)
    notes = [piece.note for piece in table.rows[0]]
    assert notes == ["", "", "too few", "too few", "too few", "not counted", *["too few"] * 3]
    assert {piece.kind for piece in table.rows[0][2:]} == {"undefined"}
    rows = [row | {"reason": None}]
    assert page_table(TABLE, rows, 1, without=["double"], **WORDS).rows[0][2].note == "not measured"


def test_fields_are_left_out_and_shown_otherwise():
    """A caller leaves out a field, shows another in its own way, and names controls."""
    table = page_table(
        TABLE,
        [ROW],
        1,
        name=lambda name: Text(name, "a control", "control"),
        show={
            "fit": lambda row, places: f"{row['source']}{places}",
            "d": lambda *_: Text("D", "d"),
        },
        without=["rate", "double"],
        **WORDS,
    )
    assert [column.title for column in table.columns][2] == "Change, %"
    assert table.rows[0][0] == Text("a", "a control", "control")
    assert table.rows[0][1] == Text("a1")
    assert table.rows[0][5] == Text("D", "d")


@pytest.mark.parametrize("reason", [None, "too few"])
def test_reasons_have_a_column_where_there_are_any(reason):
    """Reasons stand in a last column of their own, unless no row has one."""
    rows = [ROW, ROW | {"reason": reason}]
    table = page_table(TABLE, rows, 1, why=True, **WORDS)
    assert (table.columns[-1].title == "Why undefined") is (reason is not None)
    assert texts(table, 1)[-1] == (reason or "2400")
