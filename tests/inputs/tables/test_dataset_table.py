"""Saved datasets read where they lie."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from intertwine.errors import FileFormatError, MissingExtraError
from intertwine.inputs.tables.parquet_table import DatasetTable


@pytest.fixture(scope="module")
def dataset():
    """Return a dataset of images, classes and texts."""
    import datasets

    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (5, 4, 3), np.uint8)) for _ in range(9)]
    features = {
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=["cat", "dog"]),
        "text": datasets.Value("string"),
    }
    columns = {"image": images, "label": [0, 1, 1] * 3, "text": [f"text {i}" for i in range(9)]}
    return datasets.Dataset.from_dict(columns, datasets.Features(features))


@pytest.fixture
def saved(dataset, tmp_path):
    """Return the folder it was saved to, in two files."""
    import datasets

    datasets.disable_progress_bars()
    dataset.save_to_disk(tmp_path / "saved", num_shards=2)
    return tmp_path / "saved"


def test_columns(saved, dataset):
    """Columns and cells are those of the dataset, images as they were saved."""
    table = DatasetTable(saved)
    assert (len(table), table.kind) == (9, "datasets")
    assert table.types == {"image": "image", "label": "integer", "text": "text"}
    assert table.columns(["label", "text"]) == {
        "label": dataset["label"][:],
        "text": dataset["text"][:],
    }
    assert table.cells("text", [8, 0, 5]) == ["text 8", "text 0", "text 5"]
    for row in (7, 1):
        image = Image.open(io.BytesIO(table.cells("image", [row])[0]["bytes"]))
        np.testing.assert_array_equal(np.asarray(image), np.asarray(dataset[row]["image"]))
    assert table.where(3) == f"{saved}: row 3"


def test_class_names(saved):
    """A column of class labels has names, another none."""
    table = DatasetTable(saved)
    assert table.class_names("label") == ["cat", "dog"]
    assert table.class_names("text") is None


def test_order(dataset, tmp_path):
    """A dataset saved in another order is read in that order."""
    dataset.select([4, 2, 7]).save_to_disk(tmp_path / "some")
    assert DatasetTable(tmp_path / "some").columns(["text"]) == {
        "text": ["text 4", "text 2", "text 7"]
    }


def test_damaged(saved):
    """A file that is cut short is refused."""
    file = next(saved.glob("*.arrow"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(FileFormatError, match="cannot be loaded as a saved dataset"):
        DatasetTable(saved)


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("state.json", "_data_files", [], "cannot be loaded as a saved dataset"),
        ("state.json", "_data_files", 5, "cannot be loaded as a saved dataset"),
        ("dataset_info.json", "features", {}, "names other columns or types"),
        (
            "dataset_info.json",
            "features",
            {"other": {"dtype": "string", "_type": "Value"}},
            "names other columns or types",
        ),
    ],
)
def test_damaged_settings(saved, name, key, value, message):
    """Settings that do not fit the files are refused in one line, without what the library shows."""
    settings = json.loads((saved / name).read_text())
    (saved / name).write_text(json.dumps(settings | {key: value}))
    with pytest.raises(FileFormatError, match=message) as told:
        DatasetTable(saved)
    assert not {"\n", "{"} & set(str(told.value))


def test_missing_library(saved, monkeypatch):
    """Without the library, the pip line is the error."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[datasets\]'"):
        DatasetTable(saved)


@pytest.mark.parametrize("offset", [10_000, -5])
def test_offsets_that_lead_astray_are_refused(tmp_path, offset):
    """A damaged column is one line where it is read; the others are read all the same."""
    import datasets
    import pyarrow as pa

    datasets.disable_progress_bars()
    rows = {"n": [1, 2, 3], "text": ["a", "b", "c"]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "set")
    (file,) = (tmp_path / "set").glob("*.arrow")
    with pa.memory_map(str(file)) as source:
        schema = pa.ipc.open_stream(source).schema
    offsets = pa.py_buffer(np.array([0, 1, offset, 3], np.int32))
    text = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"abc")])
    batch = pa.RecordBatch.from_arrays([pa.array([1, 2, 3]), text], schema=schema)
    with pa.ipc.new_stream(str(file), schema) as writer:
        writer.write_batch(batch)
    table = DatasetTable(tmp_path / "set")
    assert table.columns(["n"]) == {"n": [1, 2, 3]}
    for read in (lambda: table.columns(["text"]), lambda: table.cells("text", [1])):
        with pytest.raises(FileFormatError, match="text cannot be read"):
            read()
