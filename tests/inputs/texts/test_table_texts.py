"""Texts in columns of tables."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyarrow import parquet

from intertwine.errors import InputError
from intertwine.inputs.tables import Columns
from intertwine.inputs.tables.table import open_table
from intertwine.inputs.texts.listing import TableTexts


def parquet_texts(folder, columns):
    """Write a Parquet file and list its texts."""
    parquet.write_table(pa.table(columns), folder / "table.parquet")
    return TableTexts(open_table(folder / "table.parquet"), Columns())


def test_csv(tmp_path):
    """Texts come in any order, with the ids and labels beside them."""
    (tmp_path / "table.csv").write_text('key,kind,note\na,x,"one, two"\nb,y,three\n')
    columns = Columns(content="note", label="kind", id="key")
    texts = TableTexts(open_table(tmp_path / "table.csv"), columns)
    assert (texts.kind, texts.ids, texts.classes) == ("table", ["a", "b"], ["x", "y"])
    assert texts.labels.tolist() == [0, 1]
    assert texts.texts([1, 0]) == ["three", "one, two"]
    assert texts.name(1) == f"{tmp_path / 'table.csv'}: row 1"


def test_parquet(tmp_path):
    """Without a column of ids the row numbers are the ids."""
    texts = parquet_texts(tmp_path, {"sentence": [f"text {row}" for row in range(200)]})
    assert (texts.ids, texts.labels) == ([str(row) for row in range(200)], None)
    assert texts.texts(range(60, 190)) == [f"text {row}" for row in range(60, 190)]


def test_dataset(tmp_path):
    """A saved dataset has columns of texts too."""
    import datasets

    datasets.disable_progress_bars()
    data = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [-1, -1, -1]})
    data.save_to_disk(tmp_path / "saved")
    texts = TableTexts(open_table(tmp_path / "saved"), Columns())
    assert (texts.kind, texts.labels, texts.texts([2, 0])) == ("datasets", None, ["c", "a"])


@pytest.mark.parametrize("cell", [None, " "], ids=["null", "blank"])
def test_empty(tmp_path, cell):
    """A cell without text is found when it is read."""
    texts = parquet_texts(tmp_path, {"text": ["a", cell]})
    assert texts.texts([0]) == ["a"]
    with pytest.raises(
        InputError, match=r"table\.parquet: row 1: column text is empty, expected a "
    ):
        texts.texts([0, 1])


def test_other_columns(tmp_path):
    """A column of bytes holds no texts, and no other is guessed."""
    with pytest.raises(
        InputError, match="column text holds bytes, expected text; name another with"
    ):
        parquet_texts(tmp_path, {"text": [b"a"]})
    with pytest.raises(
        InputError, match="got columns note, expected one of text, sentence, content"
    ):
        parquet_texts(tmp_path, {"note": ["a"]})


def test_ids_twice(tmp_path):
    """A repeated id is named with the table."""
    with pytest.raises(InputError, match=r"table\.parquet: the id '7' repeats"):
        parquet_texts(tmp_path, {"text": ["a", "b"], "id": [7, 7]})
