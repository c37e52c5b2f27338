"""`intertwine extract`: what its options reach, and what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from intertwine.features.feature_set import FeatureSet

N = 12


@pytest.fixture
def arguments(tmp_path, write_images, write_network):
    """Return the arguments of an extraction of one encoder."""
    images = write_images(tmp_path / "images", N)
    network = write_network(tmp_path / "a.onnx")
    return ["extract", images, "--encoder", f"onnx:{network}", "--out", tmp_path / "set"]


def test_summary(intertwine, arguments, tmp_path):
    """It prints rows and rate; nothing is left to do for the same command."""
    out = intertwine(*arguments, "--threads", 1).out
    assert out.startswith(f"{tmp_path / 'set'}: 12 rows, ")
    assert out.endswith(" a second\n")
    assert intertwine(*arguments).out == f"{tmp_path / 'set'}: 12 rows\n"
    assert intertwine(*arguments, "--json").json()["rate"] is None


def test_bad_image(intertwine, arguments, tmp_path):
    """A bad image is one line of error that names it and --skip-bad, which leaves it out."""
    (tmp_path / "images" / "0003.png").write_bytes(b"")
    assert "0003.png: not a readable image" in intertwine(*arguments).error()
    assert "--skip-bad" in intertwine(*arguments).error()
    done = intertwine(*arguments, "--skip-bad")
    assert "left out 1 of 12 images, which cannot be read, such as 0003.png" in done.out
    assert intertwine(*arguments, "--json").json()["left_out"] == {"count": 1, "ids": ["0003.png"]}


def test_note_first(intertwine, arguments, tmp_path):
    """What is doubtful about the input is the first line, and stands in the JSON."""
    images = tmp_path / "images"
    (images / "labels.txt").unlink()
    for row, name in enumerate(["cat", "dog", "cat", "dog"]):
        (images / name).mkdir(exist_ok=True)
        (images / f"{row:04d}.png").rename(images / name / f"{row}.png")
    first = intertwine(*arguments).err.splitlines()[0]
    assert "no labels: 2 folders hold images (cat, dog)" in first
    assert "because 0004.png is next to them, as do 7 more" in first
    told = intertwine(*arguments, "--json").json()
    assert told["notes"] == told["warnings"] == [first.removeprefix("warning: ")]


def test_fill(intertwine, arguments, tmp_path):
    """Parts filled one by one are one set."""
    for part in ("5:12", "0:5"):
        intertwine(*arguments, "--fill", part, "--json").json()
    assert FeatureSet.open(tmp_path / "set").n == N
    assert intertwine(*arguments, "--json").json()["extracted"] == 0
    assert "got --fill '3', expected A:B" in intertwine(*arguments, "--fill", "3").error()


def test_columns(intertwine, arguments, tmp_path):
    """The columns of a table may be named."""
    lines = [f"k{row},images/{row:04d}.png,{row % 3}\n" for row in range(N)]
    (tmp_path / "table.csv").write_text("key,picture,kind\n" + "".join(lines))
    arguments[1] = tmp_path / "table.csv"
    options = ["--column", "picture", "--label-column", "kind", "--id-column", "key"]
    intertwine(*arguments, *options, "--json").json()
    assert (tmp_path / "set" / "ids.txt").read_text().split()[3] == "k3"
    np.testing.assert_array_equal(np.load(tmp_path / "set" / "labels.npy"), np.arange(N) % 3)
    source = json.loads((tmp_path / "set" / "feature_set.json").read_text())["input"]
    assert source["columns"] == {"content": "picture", "label": "kind", "id": "key"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device", "gpu"), "got device 'gpu', expected cpu, cuda"),
        (("--precision", "half"), "got precision 'half', expected one of float32, bfloat16"),
    ],
    ids=["device", "precision"],
)
def test_device_and_precision(intertwine, arguments, options, message):
    """Device and precision reach the encoder, which refuses what it cannot do."""
    assert message in intertwine(*arguments, *options).error()
