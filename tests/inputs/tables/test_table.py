"""Which paths are tables."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyarrow import parquet

from intertwine.errors import InputError
from intertwine.inputs.tables.table import open_table


def test_csv(tmp_path):
    """A CSV file is a table, whatever the case of its ending."""
    (tmp_path / "a.CSV").write_text("x\n1\n")
    table = open_table(str(tmp_path / "a.CSV"))
    assert (table.kind, len(table), table.columns(["x"])) == ("table", 1, {"x": ["1"]})


def test_parquet(tmp_path):
    """A Parquet file is a table, and so is a folder of nothing else."""
    for name in ("b", "a"):
        parquet.write_table(pa.table({"x": [name]}), tmp_path / f"{name}.parquet")
    assert open_table(tmp_path / "b.parquet").columns(["x"]) == {"x": ["b"]}
    assert open_table(tmp_path).columns(["x"]) == {"x": ["a", "b"]}
    (tmp_path / "notes.md").touch()
    assert open_table(tmp_path) is None


def test_dataset(tmp_path):
    """A saved dataset is a table; one of several splits is refused with their folders."""
    import datasets

    datasets.disable_progress_bars()
    data = datasets.Dataset.from_dict({"x": ["a"]})
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(tmp_path)
    table = open_table(tmp_path / "train")
    assert (table.kind, table.columns(["x"])) == ("datasets", {"x": ["a"]})
    with pytest.raises(
        InputError, match=r"a dataset of splits, .* give its folder: .*/test or .*/tr"
    ):
        open_table(tmp_path)


@pytest.mark.parametrize("name", ["a.txt", "folder", "absent.csv"])
def test_other(tmp_path, name):
    """Another file, an empty folder and a path with nothing there are no tables."""
    (tmp_path / "a.txt").touch()
    (tmp_path / "folder").mkdir()
    assert open_table(tmp_path / name) is None


@pytest.mark.parametrize("text", ["", "x\n"], ids=["empty", "names only"])
def test_no_row(tmp_path, text):
    """A table without rows is refused."""
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=r"a\.csv: holds no row, expected at least one"):
        open_table(tmp_path / "a.csv")
