"""Images that cannot be read: the pass stops at them, or leaves them out of every space."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.inputs.images import decode
from intertwine.passes.extract.extract import extract

N = 26
OPTIONS = {"batch_size": 4, "threads": 1}


@pytest.fixture
def inputs(tmp_path, write_images, write_network):
    """Return a folder of images and two encoder URIs."""
    uris = [
        f"onnx:{write_network(tmp_path / 'a.onnx', seed=1)}",
        f"onnx:{write_network(tmp_path / 'b.onnx', seed=2, width=9)}?resize=centre:9",
    ]
    return write_images(tmp_path / "images", N), uris


def damage(path, how):
    """Damage an image; return its bytes from before."""
    before = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "huge":
        Image.new("RGB", (101, 101)).save(path)
    else:
        path.write_bytes(before[:60] if how == "truncated" else b"no image")
    return before


def manifest(folder):
    """Return a set's manifest."""
    return json.loads((folder / "feature_set.json").read_text())


def contents(folder):
    """Return the bytes of every file of a set."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


class TestStops:
    @pytest.mark.quick("corrupt-not a readable image (of no known format)")
    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("truncated", "not a readable image"),
            ("corrupt", "not a readable image (of no known format)"),
            ("missing", "not a readable image (No such file or directory)"),
            ("huge", "has more than 89478485 pixels"),
        ],
    )
    def test_at_a_bad_image(self, inputs, tmp_path, monkeypatch, how, reason):
        """The pass stops, names and lists it; repaired, the same call goes on and the entry goes."""
        monkeypatch.setattr(decode, "MAX_PIXELS", 10_000)
        images, uris = inputs
        before = damage(images / "0013.png", how)
        with pytest.raises(
            InputError, match=r"0013\.png: .*; repair it, or .* --skip-bad; the same"
        ):
            extract(images, uris, tmp_path / "set", **OPTIONS)
        (entry,) = manifest(tmp_path / "set")["bad"]
        assert entry["id"] == "0013.png"
        assert entry["reason"].startswith(reason)
        assert manifest(tmp_path / "set")["spaces"]["a"]["complete"] == [[0, 12]]
        with pytest.raises(InputError, match=r"lacks 14 of 26 rows, 0013\.png cannot be read"):
            FeatureSet.open(tmp_path / "set")
        (images / "0013.png").write_bytes(before)
        assert extract(images, uris, tmp_path / "set", **OPTIONS)["extracted"] == 14
        extract(images, uris, tmp_path / "undisturbed", **OPTIONS)
        assert contents(tmp_path / "set") == contents(tmp_path / "undisturbed")

    def test_all_of_a_batch_are_listed(self, inputs, tmp_path):
        """Every bad image of the batch at which the pass stopped is listed."""
        images, uris = inputs
        for name in ("0005.png", "0006.png", "0020.png"):
            damage(images / name, "corrupt")
        with pytest.raises(InputError, match=r"0005\.png: not a readable image"):
            extract(images, uris, tmp_path / "set", **OPTIONS)
        listed = [entry["id"] for entry in manifest(tmp_path / "set")["bad"]]
        assert listed == ["0005.png", "0006.png"]

    def test_not_at_a_row_that_is_done(self, inputs, tmp_path):
        """An image that went bad after its row was complete stops nothing."""
        images, uris = inputs

        def interrupt(done, _):
            if done >= 16:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            extract(images, uris, tmp_path / "set", **OPTIONS, progress=interrupt)
        damage(images / "0015.png", "corrupt")
        extract(images, uris, tmp_path / "set", batch_size=10, threads=1)
        assert FeatureSet.open(tmp_path / "set").n == N


class TestSkipBad:
    @pytest.fixture
    def left(self, inputs, tmp_path):
        """Return a set of the first encoder that two images were left out of."""
        images, uris = inputs
        damage(images / "0007.png", "truncated")
        damage(images / "0025.png", "missing")
        summary = extract(images, uris[:1], tmp_path / "set", **OPTIONS, skip_bad=True)
        assert summary["rows"] == N - 2
        assert summary["left_out"] == {"count": 2, "ids": ["0007.png", "0025.png"]}
        return tmp_path / "set"

    def test_rows_keep_ids_and_order(self, inputs, left, tmp_path):
        """The others keep ids, labels and features, and the set says which are left out and why."""
        kept = [row for row in range(N) if row not in {7, 25}]
        assert (left / "ids.txt").read_text().split() == [f"{row:04d}.png" for row in kept]
        np.testing.assert_array_equal(np.load(left / "labels.npy"), np.array(kept) % 4)
        listed = manifest(left)["left_out"]
        assert [entry["id"] for entry in listed] == ["0007.png", "0025.png"]
        assert listed[1]["reason"] == "not a readable image (No such file or directory)"
        extract(inputs[0], inputs[1][:1], tmp_path / "part", **OPTIONS, rows=(8, 25))
        features = FeatureSet.open(left).read(["a"], range(len(kept)))["a"]
        np.testing.assert_array_equal(features[7:], np.load(tmp_path / "part" / "a.npy"))

    def test_same_command_again(self, inputs, left):
        """The same command, with or without the option, finds nothing to do and changes nothing."""
        before = contents(left)
        for skip_bad in (True, False):
            summary = extract(inputs[0], inputs[1][:1], left, **OPTIONS, skip_bad=skip_bad)
            assert (summary["rows"], summary["extracted"], summary["rate"]) == (N - 2, 0, None)
        assert contents(left) == before

    def test_added_encoder(self, inputs, left):
        """An encoder added later has the rows that the set has, and touches no file of another."""
        before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in left.iterdir()}
        before.pop(left / "feature_set.json")
        extract(*inputs, left, **OPTIONS)
        assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before} == before
        feature_set = FeatureSet.open(left)
        assert (feature_set.n, sorted(feature_set.spaces)) == (N - 2, ["a", "b"])

    def test_added_encoder_meets_another(self, inputs, left):
        """A further bad image that an added encoder meets goes from the spaces before, too."""
        features = np.load(left / "a.npy")
        damage(inputs[0] / "0003.png", "corrupt")
        extract(*inputs, left, **OPTIONS, skip_bad=True)
        np.testing.assert_array_equal(np.load(left / "a.npy"), np.delete(features, 3, axis=0))
        listed = [entry["id"] for entry in manifest(left)["left_out"]]
        assert listed == ["0007.png", "0025.png", "0003.png"]
        assert FeatureSet.open(left).n == N - 3

    def test_after_a_stop(self, inputs, tmp_path):
        """A run that stopped at a bad image goes on with the option, as if it had had it."""
        images, uris = inputs
        damage(images / "0009.png", "corrupt")
        with pytest.raises(InputError, match=r"0009\.png"):
            extract(images, uris, tmp_path / "set", **OPTIONS)
        extract(images, uris, tmp_path / "set", **OPTIONS, skip_bad=True)
        extract(images, uris, tmp_path / "undisturbed", **OPTIONS, skip_bad=True)
        assert contents(tmp_path / "set") == contents(tmp_path / "undisturbed")

    def test_whole_batch(self, inputs, tmp_path):
        """A batch of nothing but bad images is passed over."""
        images, uris = inputs
        for row in range(4, 8):
            damage(images / f"{row:04d}.png", "corrupt")
        assert extract(images, uris, tmp_path / "set", **OPTIONS, skip_bad=True)["rows"] == N - 4

    def test_rows_of_the_input(self, inputs, tmp_path):
        """A part of the input counts its rows before any is left out."""
        images, uris = inputs
        damage(images / "0007.png", "corrupt")
        for _ in range(2):
            extract(images, uris, tmp_path / "part", **OPTIONS, rows=(5, 10), skip_bad=True)
        ids = (tmp_path / "part" / "ids.txt").read_text().split()
        assert ids == ["0005.png", "0006.png", "0008.png", "0009.png"]

    def test_all(self, inputs, tmp_path):
        """Where no image can be read there is no set."""
        images, uris = inputs
        for file in images.glob("*.png"):
            damage(file, "corrupt")
        with pytest.raises(InputError, match="all 26 rows are bad, expected at least one"):
            extract(images, uris, tmp_path / "set", **OPTIONS, skip_bad=True)


class TestNames:
    """Names of files that are no text cannot be ids."""

    @pytest.fixture(params=[b"caf\xe9.png", b"two\nlines.png"])
    def named(self, request, tmp_path, write_images):
        """Return a folder of four images, one of them by such a name, and how that is shown."""
        folder = write_images(tmp_path / "named", 3, labels=False)
        odd = Path(os.fsdecode(bytes(folder) + b"/" + request.param))
        odd.write_bytes((folder / "0000.png").read_bytes())
        return folder, odd.name.split("\udce9")[0].split("\n")[0]

    def test_stops(self, named, inputs, tmp_path):
        """Without more the file is named, and what to do."""
        folder, shown = named
        with pytest.raises(InputError, match=rf"named: {shown}\\.*rename it, or .*--skip-bad"):
            extract(folder, inputs[1], tmp_path / "set", **OPTIONS)
        assert not (tmp_path / "set").exists()

    def test_skipped(self, named, inputs, tmp_path):
        """--skip-bad leaves it out, with a note that is said before anything else, each time."""
        folder, shown = named
        for _ in range(2):
            said = []
            summary = extract(
                folder, inputs[1], tmp_path / "set", skip_bad=True, notify=said.append, **OPTIONS
            )
            assert summary["rows"] == 3
            assert said == [f"warning: {note}" for note in summary["notes"]]
            assert summary["warnings"] == summary["notes"]
            assert f"named: {shown}" in said[0]
            assert "left out, because its name is not UTF-8 text" in said[0]
        assert (tmp_path / "set" / "ids.txt").read_text() == "0000.png\n0001.png\n0002.png\n"

    def test_folder(self, inputs, tmp_path, write_images):
        """So it is for the images of a class whose name is no text; the others keep their labels."""
        for name in ("b", "caf\udce9", "d"):
            write_images(tmp_path / "classes" / name, 2, labels=False)
        with pytest.raises(InputError, match=r"classes: caf\\.*0000\.png: its name is no id"):
            extract(tmp_path / "classes", inputs[1], tmp_path / "set", **OPTIONS)
        extract(tmp_path / "classes", inputs[1], tmp_path / "set", skip_bad=True, **OPTIONS)
        assert np.load(tmp_path / "set" / "labels.npy").tolist() == [0, 0, 2, 2]
        classes = (tmp_path / "set" / "classes.txt").read_text().splitlines()
        assert (len(classes), classes[0], classes[2]) == (3, "b", "d")

    def test_in_a_tar(self, inputs, tmp_path):
        """So it is for the names in a tar."""
        with tarfile.open(tmp_path / "0.tar", "w", errors="surrogateescape") as tar:
            tar.add(inputs[0] / "0000.png", "a.png")
            tar.add(inputs[0] / "0001.png", "caf\udce9.png")
        with pytest.raises(InputError, match=r"0\.tar: caf\\udce9: its name is no id"):
            extract(tmp_path / "0.tar", inputs[1], tmp_path / "set", **OPTIONS)
        done = extract(tmp_path / "0.tar", inputs[1], tmp_path / "set", skip_bad=True, **OPTIONS)
        assert (done["rows"], len(done["notes"])) == (1, 1)
