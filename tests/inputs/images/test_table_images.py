"""Images that tables name or hold."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from intertwine.errors import InputError
from intertwine.inputs.images.decode import UnreadableImageError
from intertwine.inputs.images.file_images import TableImages
from intertwine.inputs.tables import Columns
from intertwine.inputs.tables.table import open_table

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def csv_images(folder, text, columns=None):
    """Write a CSV file and list its images."""
    (folder / "table.csv").write_text(text)
    return TableImages(open_table(folder / "table.csv"), columns or Columns())


def parquet_images(folder, columns):
    """Write a Parquet file and list its images."""
    parquet.write_table(pa.table(columns), folder / "table.parquet")
    return TableImages(open_table(folder / "table.parquet"), Columns())


class TestPaths:
    def test_csv(self, tmp_path):
        """Paths are relative to the table's folder, and are the ids where there are no others."""
        images = csv_images(tmp_path, "path,label\n./a/x.png,3\nb.png,0\n/else/c.png,3\n")
        assert images.ids == ["a/x.png", "b.png", "/else/c.png"]
        assert [str(images.open(place)) for place in range(3)] == [
            str(tmp_path / "a/x.png"),
            str(tmp_path / "b.png"),
            "/else/c.png",
        ]
        assert images.name(1) == str(tmp_path / "b.png")
        assert (images.kind, images.labels.tolist(), images.classes) == ("table", [3, 0, 3], None)

    def test_ids(self, tmp_path):
        """A column of ids goes before the paths, which may then repeat."""
        images = csv_images(tmp_path, "id,file\n7,a.png\n8,a.png\n")
        assert (images.ids, images.labels) == (["7", "8"], None)
        assert images.open(1) == tmp_path / "a.png"

    def test_parquet_folder(self, tmp_path):
        """Paths in a folder of Parquet files are relative to that folder."""
        parquet.write_table(pa.table({"image": ["a.png"]}), tmp_path / "0.parquet")
        images = TableImages(open_table(tmp_path), Columns())
        assert (images.ids, images.open(0)) == (["a.png"], tmp_path / "a.png")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("path,x\na.png,0\n ,1\n", "row 1: column path is empty; repair it or"),
            ("path\na.png\n./a.png\n", r"table\.csv: the id 'a.png' repeats"),
            ("id,path\n,a.png\n", "row 0: got id '', expected text on one line"),
            ("text\na\n", "got columns text, expected one of path, file, filename, image, image_"),
        ],
        ids=["empty", "twice", "no id", "no column"],
    )
    def test_errors(self, tmp_path, text, message):
        """What is wrong is named with the table."""
        with pytest.raises(InputError, match=message):
            csv_images(tmp_path, text)


class TestBytes:
    def test_binary(self, tmp_path):
        """Images in a column of bytes are named by their rows."""
        images = parquet_images(tmp_path, {"image": [b"first", b"second"], "label": ["b", "a"]})
        assert (images.ids, images.classes, images.labels.tolist()) == (
            ["0", "1"],
            ["a", "b"],
            [1, 0],
        )
        assert [images.open(place).read() for place in (1, 0)] == [b"second", b"first"]
        assert images.name(1) == f"{tmp_path / 'table.parquet'}: row 1"

    def test_struct(self, tmp_path):
        """An image with bytes is these; one with a path alone is that file."""
        cells = [{"bytes": b"x", "path": "0.png"}, {"bytes": None, "path": "./1.png"}]
        images = parquet_images(tmp_path, {"image": pa.array(cells, IMAGE), "id": ["p", "q"]})
        assert images.ids == ["p", "q"]
        assert images.open(0).read() == b"x"
        assert images.open(1) == tmp_path / "1.png"

    @pytest.mark.parametrize(
        "cell",
        [None, {"bytes": b"", "path": None}],
        ids=["null", "neither"],
    )
    def test_empty(self, tmp_path, cell):
        """A cell without an image is found when it is opened."""
        images = parquet_images(tmp_path, {"image": pa.array([cell], IMAGE)})
        with pytest.raises(
            UnreadableImageError, match=r"table\.parquet: row 0: column image is empty"
        ):
            images.open(0)

    def test_null_bytes(self, tmp_path):
        """A null among bytes is no image either."""
        images = parquet_images(tmp_path, {"image": pa.array([None, b"x"], pa.binary())})
        with pytest.raises(InputError, match="row 0: column image is empty"):
            images.open(0)

    def test_numbers(self, tmp_path):
        """A column of numbers holds no images."""
        with pytest.raises(
            InputError, match="column image holds integer, expected text or bytes or"
        ):
            parquet_images(tmp_path, {"image": [1]})


def test_dataset(tmp_path):
    """A saved dataset gives its images as they were saved, its labels and its classes."""
    import datasets

    datasets.disable_progress_bars()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), np.uint8)
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["z", "y"])}
    columns = {"image": [Image.fromarray(image) for image in pixels], "label": [1, 0, 0, 1]}
    data = datasets.Dataset.from_dict(columns, datasets.Features(features))
    data.save_to_disk(tmp_path / "saved")
    images = TableImages(open_table(tmp_path / "saved"), Columns())
    assert (images.kind, images.ids, images.classes) == ("datasets", list("0123"), ["z", "y"])
    assert images.labels.tolist() == [1, 0, 0, 1]
    for place in (2, 0, 3):
        opened = images.open(place)
        assert isinstance(opened, io.BytesIO)
        np.testing.assert_array_equal(np.asarray(Image.open(opened)), pixels[place])
