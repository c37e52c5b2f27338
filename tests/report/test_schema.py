import pytest

from intertwine.errors import InputError
from intertwine.report.schema import REASON, Field, Report, TableSchema

TABLE = TableSchema(
    "scores",
    "One row a pair.",
    (
        Field("source", "name", "Source"),
        Field("top5", title="Top-5, %", after="change"),
        Field("change", "percent", "Change, %", interval=("low", "high")),
        Field("rate", interval=True),
        Field("note", "text"),
        Field("exact", "flag"),
        Field("label", "text", "Label", derived=True),
        REASON,
    ),
)
ROW = {"source": "a", "top5": 0.5, "change": -3.0, "low": None, "high": 2, "rate": 1}


class ScoresStudy(Report):
    """A report of one table."""

    study = "scoring"
    needed = ("n",)
    tables = (TABLE, TableSchema("more", "Rows that may be left out.", (), nullable=True))


def report(*rows, **changes):
    """Return the object of a report."""
    return {"study": "scoring", "n": 3, "scores": list(rows), "more": None, **changes}


def test_columns_are_every_field_and_the_ends_of_its_interval():
    """The CSV file has each stored field, with its interval behind it, in the order declared."""
    numbers = ("top5", "change", "low", "high", "rate", "rate_low", "rate_high")
    assert TABLE.columns == ("source", *numbers, "note", "exact", "reason")


def test_the_page_shows_titled_fields_where_they_are_told_to_stand():
    """The page shows the fields that have a title, one after another where it says so."""
    assert [each.key for each in TABLE.shown] == ["source", "change", "top5", "label"]


def test_an_undefined_row_keeps_what_is_known():
    """Every column of an undefined row is null but what is known and the reason."""
    row = TABLE.undefined("too few", source="a")
    assert list(row) == list(TABLE.columns)
    assert {key: value for key, value in row.items() if value is not None} == {
        "source": "a",
        "reason": "too few",
    }


def test_an_ordinary_report_is_accepted():
    """Numbers, nulls and absent numbers are accepted; a table that may be null has no rows."""
    study = ScoresStudy.of(report(ROW, {"source": "b"}))
    assert study.rows("scores") == [ROW, {"source": "b"}]
    assert study.rows("more") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": None}, r"scores\[1\] of this report: got source=null, expected a name"),
        ({"source": ""}, "expected a name"),
        ({"top5": "x"}, r"scores\[1\].top5 of this report: got 'x', expected a number or null"),
        ({"top5": True}, "expected a number or null"),
        ({"top5": 1.01}, "got 1.01, expected a share from 0 to 1"),
        ({"high": [1]}, r"scores\[1\].high of this report: got \[1\], expected a number or null"),
        ({"rate_low": -0.1}, "expected a share from 0 to 1"),
        ({"change": 1e101}, "which no study gives"),
    ],
)
def test_a_row_that_no_study_writes_is_refused(change, message):
    """Each wrong value is one line with its place and what was expected."""
    with pytest.raises(InputError, match=message):
        ScoresStudy.of(report(ROW, ROW | change))


@pytest.mark.parametrize("rows", [None, {}, "rows", [1], [ROW, None]])
def test_a_table_that_is_no_list_of_objects_is_refused(rows):
    """A table in another form is refused, with the study that was expected."""
    with pytest.raises(InputError, match="scores of this report is no list of objects; is it a"):
        ScoresStudy.of(report(scores=rows))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([], "got a report that is a list, expected a JSON object"),
        (report(study="linkage"), "got a report of the study 'linkage', expected scoring"),
        ({"study": "scoring", "n": 1}, "lacks scores; is it a scoring report"),
        ({"study": "scoring", "scores": []}, "lacks n; is it"),
        (report(n=float("nan")), "cannot be written as JSON"),
        (report(n=object()), "cannot be written as JSON"),
    ],
)
def test_another_object_is_refused(result, message):
    """What is no report of the study, or not all of it, is refused in one line."""
    with pytest.raises(InputError, match=message):
        ScoresStudy.of(result)


def test_the_stamp_leaves_out_what_is_not_known():
    """A report without a date is stamped with the version alone."""
    assert ScoresStudy.of(report(version="1.0")).stamp == "Made with Intertwine 1.0"
