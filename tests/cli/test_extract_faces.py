"""`intertwine extract` with encoders of faces."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_undetected(intertwine, tmp_path, write_images, write_network):
    """It says how many images have no face, and as JSON which are the first."""
    images = write_images(tmp_path / "images", 12)
    uri = f"onnx:{write_network(tmp_path / 'a.onnx')}?face=box:2"
    arguments = ["extract", images, "--encoder", uri, "--out", tmp_path / "set"]
    done = intertwine(*arguments)
    assert done.code == 0
    assert "no face found in 12 images" in done.out
    faces = intertwine(*arguments, "--json").json()["faces"]
    assert faces["undetected"] == 12
    assert faces["undetected_ids"] == [f"{row:04d}.png" for row in range(10)]
    assert (
        "no face"
        not in intertwine(
            "extract",
            images,
            "--encoder",
            uri.replace("face=box:2", "name=b"),
            "--out",
            tmp_path / "other",
        ).out
    )


def test_impossible_option(intertwine, tmp_path, write_images, write_network):
    """A crop that there is not is one line of error."""
    images = write_images(tmp_path / "images", 2)
    uri = f"onnx:{write_network(tmp_path / 'a.onnx')}?face=round"
    done = intertwine("extract", images, "--encoder", uri, "--out", tmp_path / "set")
    assert "got face=round, expected none, arcface, or box:PIXELS" in done.error()
