"""CSV read by the place of each record."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intertwine.errors import InputError
from intertwine.inputs.tables.csv_table import CsvTable


def written(folder, data):
    """Write a file and open it."""
    path = folder / "table.csv"
    path.write_bytes(data)
    return CsvTable(path)


def test_cells(tmp_path):
    """Cells may hold commas, quotes and line ends; blank lines and a byte order mark do not count."""
    table = written(
        tmp_path,
        b'\xef\xbb\xbfname, text\r\na,"x, ""y"""\r\n\r\nb,"one\r\ntwo"\nc,\xc3\xa9',
    )
    assert (len(table), table.types) == (3, {"name": "text", "text": "text"})
    assert table.columns(["text", "name"]) == {
        "text": ['x, "y"', "one\r\ntwo", "é"],
        "name": ["a", "b", "c"],
    }
    assert table.cells("text", [2, 1, 1]) == ["é", "one\r\ntwo", "one\r\ntwo"]
    assert table.columns([]) == {}
    assert table.class_names("name") is None
    assert table.where(2) == f"{tmp_path / 'table.csv'}: row 2"


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=2, max_size=2
        ),
        max_size=8,
    )
)
def test_as_the_csv_module_reads(records):
    """What the standard library writes comes back from the place of each record."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["a", "b"], *records])
        table = CsvTable(path)
        for place, name in enumerate("ab"):
            cells = [record[place] for record in records]
            assert table.columns([name])[name] == cells
            assert [table.cells(name, [row])[0] for row in range(len(table))] == cells


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,b\n1,2\n\n3\n", "line 4: got 1 cell, expected 2 as in the line of names"),
        (b"a, a\n", "got columns a, a, expected a distinct name for each"),
        (b"a,\n", "got columns a, , expected a distinct name"),
        (b'a\n"x\n', "cannot be read as CSV in UTF-8 .unexpected end of data"),
        (b"a\n\xff\n", "cannot be read as CSV in UTF-8 .*can't decode"),
        (b"a\rb\r", "cannot be read as CSV in UTF-8 .new-line character"),
    ],
    ids=["cells", "twice", "no name", "open quote", "not UTF-8", "old line ends"],
)
def test_errors(tmp_path, data, message):
    """What is no CSV with names is refused in one line."""
    with pytest.raises(InputError, match=message):
        written(tmp_path, data)


def test_gone(tmp_path):
    """A file that is gone when a cell is read is named."""
    table = written(tmp_path, b"a\n1\n")
    table.path.unlink()
    with pytest.raises(InputError, match=r"table\.csv: cannot be read as CSV"):
        table.cells("a", [0])
