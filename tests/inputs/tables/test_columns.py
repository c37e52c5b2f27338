"""Which columns are taken, and what ids and labels may be."""

from __future__ import annotations

import pytest

from intertwine.errors import InputError
from intertwine.inputs.tables import Columns
from intertwine.inputs.tables.columns import content_column, read_keys, read_labels
from intertwine.inputs.tables.csv_table import CsvTable


def where(row):
    """Name a row."""
    return f"row {row}"


@pytest.fixture
def table(tmp_path):
    """Return a table with usual and unusual names."""
    path = tmp_path / "table.csv"
    path.write_text("id,label,path,name,kind\n7,1,a.png,x,dog\n8,0,b.png,y,cat\n")
    return CsvTable(path)


class TestContentColumn:
    def test_first_usual(self, table):
        """The first of the usual names that exists is taken."""
        assert (
            content_column(table, None, usual=("file", "path", "name"), types=("text",)) == "path"
        )

    def test_named(self, table):
        """A name given goes before the usual ones."""
        assert content_column(table, "name", usual=("path",), types=("text",)) == "name"

    @pytest.mark.parametrize(
        ("named", "usual", "types", "message"),
        [
            ("image", "path", "text", "no column 'image', expected one of id, label, path, name, "),
            (
                None,
                "text",
                "text",
                "got columns id, label, .*, expected one of text; name another ",
            ),
            (
                None,
                "path",
                "bytes",
                "column path holds text, expected bytes; name another with --c",
            ),
        ],
        ids=["not there", "none usual", "another type"],
    )
    def test_errors(self, table, named, usual, types, message):
        """A column that is not there or holds something else is refused by name."""
        with pytest.raises(InputError, match=message):
            content_column(table, named, usual=[usual], types=[types])


class TestReadKeys:
    def test_usual(self, table):
        """Labels stand in `label`, ids in `id`, and the content comes along when asked for."""
        keys = read_keys(table, Columns(), content="path")
        assert (keys.ids, keys.labels.tolist(), keys.classes) == (["7", "8"], [1, 0], None)
        assert keys.content == ["a.png", "b.png"]

    def test_named(self, table):
        """Columns named go before the usual ones; one may serve twice."""
        keys = read_keys(table, Columns(label="kind", id="kind"))
        assert (keys.ids, keys.classes, keys.content) == (["dog", "cat"], ["cat", "dog"], None)

    def test_none(self, tmp_path):
        """Without such columns there are no ids and no labels."""
        (tmp_path / "table.csv").write_text("path\na.png\n")
        keys = read_keys(CsvTable(tmp_path / "table.csv"), Columns())
        assert (keys.ids, keys.labels, keys.classes) == (None, None, None)

    @pytest.mark.parametrize(
        "columns", [Columns(label="no"), Columns(id="no")], ids=["label", "id"]
    )
    def test_not_there(self, table, columns):
        """A column named that is not there is refused with those that are."""
        with pytest.raises(InputError, match="no column 'no', expected one of id, label, path"):
            read_keys(table, columns)

    @pytest.mark.parametrize("value", [None, 1.5, True], ids=["null", "float", "bool"])
    def test_unfit_id(self, table, monkeypatch, value):
        """An id is text or an integer."""
        monkeypatch.setattr(table, "columns", lambda _: {"id": [3, value], "label": [0, 0]})
        with pytest.raises(InputError, match=f"row 1: got id {value!r}, expected text or an integ"):
            read_keys(table, Columns())


class TestReadLabels:
    @pytest.mark.parametrize("values", [[3, 0, 3], ["3", "0", "3"]], ids=["numbers", "text"])
    def test_integers(self, values):
        """Integers stay as they are, with the names that the input has for them."""
        labels, classes = read_labels(values, where, ["a", "b", "c", "d"])
        assert (labels.tolist(), labels.dtype, classes) == (
            [3, 0, 3],
            "int64",
            ["a", "b", "c", "d"],
        )

    def test_classes(self):
        """Text becomes classes in sorted order, numbers among it included."""
        labels, classes = read_labels(["dog", "7", "cat", "dog"], where)
        assert (labels.tolist(), classes) == ([2, 0, 1, 2], ["7", "cat", "dog"])

    @pytest.mark.parametrize("values", [[-1, -1], ["-1"]], ids=["numbers", "text"])
    def test_secret(self, values):
        """Labels that are all −1 are none."""
        assert read_labels(values, where) == (None, None)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([1, None], "row 1: got label None, expected an integer ≥ 0 or text on one line"),
            (["a", ""], "row 1: got label '', expected"),
            (["a\nb"], "row 0: got label 'a\\\\nb', expected"),
            (["a\ud800"], "row 0: got label 'a.ud800', expected"),
            ([True], "row 0: got label True, expected"),
            ([[0]], r"row 0: got label \[0\], expected"),
            ([0, -1], "row 1: got label -1, expected an integer ≥ 0 of at most 9 digits"),
            (["1", "2.0"], "row 1: got label 2.0, expected an integer ≥ 0"),
            ([10**9], "row 0: got label 1000000000, expected an integer ≥ 0"),
        ],
        ids=[
            "null",
            "empty",
            "two lines",
            "half a character",
            "bool",
            "list",
            "negative",
            "decimal",
            "long",
        ],
    )
    def test_errors(self, values, message):
        """A label that is none is named by its row."""
        with pytest.raises(InputError, match=message):
            read_labels(values, where)
