"""Which texts there are, in which order, with which labels."""

from __future__ import annotations

import pytest

from intertwine.errors import InputError
from intertwine.inputs.tables import Columns
from intertwine.inputs.texts.listing import list_texts


@pytest.fixture
def notes(tmp_path):
    """Return a text file of four lines."""
    (tmp_path / "notes.txt").write_text("zero\none\ntwo\nthree\n")
    return tmp_path / "notes.txt"


def test_lines(notes, monkeypatch):
    """A text file is its lines; parts of the list read their own rows."""
    monkeypatch.chdir(notes.parent)
    texts = list_texts("notes.txt")
    assert (texts.kind, texts.path, len(texts)) == ("lines", notes, 4)
    part = texts.rows(1, 4).without(["2"])
    assert (part.ids, part.texts(range(2))) == (["1", "3"], ["one", "three"])
    assert part.name(1) == "notes.txt: line 4"


def test_table(tmp_path):
    """A table is its column of texts."""
    (tmp_path / "table.csv").write_text("text,label\nzero,1\none,0\n")
    texts = list_texts(tmp_path / "table.csv").rows(1, 2)
    assert (texts.kind, texts.ids, texts.labels.tolist()) == ("table", ["1"], [0])
    assert texts.texts(range(1)) == ["one"]


def test_columns_without_a_table(notes):
    """Names of columns are refused where there are no columns."""
    with pytest.raises(InputError, match=r"notes\.txt: got names of columns, but it is no table"):
        list_texts(notes, columns=Columns(content="text"))


@pytest.mark.parametrize("name", ["absent", "."], ids=["absent", "folder"])
def test_no_texts(notes, name):
    """A path with nothing there and a folder of other files hold no texts."""
    with pytest.raises(InputError, match="no texts there, expected a text file, a CSV or Parquet"):
        list_texts(notes.parent / name)
