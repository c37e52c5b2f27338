"""Extraction of faces: each found once, whatever the encoders, and on again after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from intertwine.encoders.registry import open_encoder
from intertwine.errors import MissingExtraError
from intertwine.inputs.images.faces import detection as face_detection
from intertwine.inputs.images.faces.crops import aligned_crop, box_crop
from intertwine.inputs.images.faces.detection import FaceDetector
from intertwine.passes.extract.extract import extract

N = 24


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, write_images, write_network):
    """Return a folder of images without faces, two URIs that crop them and one that does not."""
    folder = tmp_path_factory.mktemp("faces")
    images = write_images(folder / "images", N)
    network = write_network(folder / "a.onnx", seed=1)
    queries = ["name=box&face=box:2", "name=aligned&face=arcface", "name=whole"]
    return images, [f"onnx:{network}?{query}" for query in queries]


@pytest.fixture
def counted(monkeypatch):
    """Return a list that grows by one with each search for a face."""
    calls, detect = [], FaceDetector.detect
    monkeypatch.setattr(
        FaceDetector, "detect", lambda self, image: calls.append(1) or detect(self, image)
    )
    return calls


def contents(folder):
    """Return the bytes of every file of a set."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


class TestOnce:
    def test_whatever_the_encoders(self, inputs, tmp_path, counted):
        """A face is looked for once an image, and not at all where no encoder crops it."""
        images, uris = inputs
        summary = extract(images, [*uris, f"{uris[0]}&channels=bgr".replace("=box&", "=bgr&")],
                          tmp_path / "set")  # fmt: skip
        assert len(counted) == N
        assert summary["faces"]["undetected"] == N
        assert extract(images, uris[2:], tmp_path / "plain")["faces"] is None
        assert len(counted) == N
        assert not (tmp_path / "plain" / "faces.csv").exists()

    @pytest.mark.slow
    def test_added_encoder(self, inputs, tmp_path, counted):
        """An encoder added later finds nothing twice, and the set is as if made together."""
        images, uris = inputs
        extract(images, uris[:1], tmp_path / "set", threads=1)
        assert len(counted) == N
        summary = extract(images, uris, tmp_path / "set", threads=1)
        assert len(counted) == N
        assert summary["faces"]["undetected"] == N
        extract(images, uris, tmp_path / "together", threads=1, readers=5, batch_size=32)
        assert contents(tmp_path / "set") == contents(tmp_path / "together")

    @pytest.mark.slow
    def test_killed(self, inputs, tmp_path):
        """Killed and started again, a run looks again only for faces lost with the last batches."""
        images, uris = inputs
        code = (
            "import time; from intertwine.passes.extract import extract as module, run; "
            "run.COMMIT_SECONDS = 0; "
            f"module.extract({str(images)!r}, {uris!r}, {str(tmp_path / 'set')!r}, batch_size=4, "
            "threads=1, progress=lambda d, n: (print(d, n, flush=True), time.sleep(0.3)))"
        )
        run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3):
            run.stdout.readline()
        time.sleep(0.1)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        kept = (tmp_path / "set" / "faces.csv").read_bytes()
        assert kept.count(b"\n") >= 9
        extract(images, uris, tmp_path / "set", batch_size=4, threads=1)
        extract(images, uris, tmp_path / "undisturbed", batch_size=4, threads=1)
        assert contents(tmp_path / "set") == contents(tmp_path / "undisturbed")
        assert (tmp_path / "set" / "faces.csv").read_bytes().startswith(kept)

    @pytest.mark.slow
    def test_finished_set(self, inputs, tmp_path, counted):
        """A finished set is left as it is, and its summary still counts the undetected."""
        images, uris = inputs
        extract(images, uris, tmp_path)
        before = contents(tmp_path)
        summary = extract(images, uris, tmp_path)
        assert len(counted) == N
        assert summary["faces"]["undetected"] == N
        assert contents(tmp_path).keys() == before.keys()
        assert contents(tmp_path)["faces.csv"] == before["faces.csv"]


class TestSummary:
    def test_undetected(self, inputs, tmp_path):
        """It names the detector, the file, how many images have no face, and the first of them."""
        images, uris = inputs
        faces = extract(images, uris[:1], tmp_path / "set")["faces"]
        assert faces["detector"].startswith("mtcnn-runtime 1")
        assert faces["file"] == str(tmp_path / "set" / "faces.csv")
        assert faces["undetected"] == N
        assert faces["undetected_ids"] == [f"{row:04d}.png" for row in range(10)]

    def test_missing_extra(self, inputs, tmp_path, monkeypatch):
        """Without the extra nothing is written, and the error is the pip line."""
        monkeypatch.setitem(sys.modules, "mtcnnruntime.detector", None)
        with pytest.raises(MissingExtraError, match=r"intertwine\[faces\]"):
            extract(inputs[0], inputs[1], tmp_path / "set")
        assert not (tmp_path / "set").exists()


def test_features(inputs, tmp_path, shared_data):
    """Features of real faces are the network's of the two crops made by hand."""
    files = sorted((shared_data / "lfw" / "images").glob("*.jpg"))[::2500]
    (tmp_path / "in").mkdir()
    for file in files:
        (tmp_path / "in" / file.name).symlink_to(file)
    Image.new("L", (8, 8), 99).save(tmp_path / "in" / "tiny.png")
    summary = extract(tmp_path / "in", inputs[1][:2], tmp_path / "set", dtype="float32", threads=1)
    assert summary["faces"]["undetected_ids"] == ["tiny.png"]
    detector, crops = FaceDetector(), {"box": [], "aligned": []}
    for file in sorted((tmp_path / "in").iterdir()):
        image = Image.open(file).convert("RGB")
        face = detector.detect(image)
        crops["box"].append(box_crop(image, face.box, (8, 8), 2))
        crops["aligned"].append(aligned_crop(image, face.points, 8))
    for uri, (name, images) in zip(inputs[1], crops.items(), strict=False):
        want = open_encoder(uri, threads=1).encode(np.stack(images))
        np.testing.assert_allclose(np.load(tmp_path / "set" / f"{name}.npy"), want, rtol=1e-5)


@pytest.mark.quick("3", "8")
@pytest.mark.parametrize("value", [3, 6, 8])
def test_turned_images(inputs, tmp_path, shared_data, value):
    """A face in an image that its camera held sideways is found upright; whole images stay as stored."""
    turns = {3: "ROTATE_180", 6: "ROTATE_90", 8: "ROTATE_270"}
    file = min((shared_data / "lfw" / "images").glob("*.jpg"))
    exif = Image.Exif()
    exif[0x0112] = value
    for name in ("plain", "turned"):
        (tmp_path / name).mkdir()
    image = Image.open(file).convert("RGB")
    image.save(tmp_path / "plain" / "0.png")
    stored = image.transpose(Image.Transpose[turns[value]])
    stored.save(tmp_path / "turned" / "0.png", exif=exif)
    stored.save(tmp_path / "turned" / "1.png")
    found = {}
    for name in ("plain", "turned"):
        summary = extract(tmp_path / name, inputs[1], tmp_path / f"{name}-set", threads=1)
        found[name] = {a: np.load(tmp_path / f"{name}-set" / f"{a}.npy") for a in ("box", "whole")}
    assert summary["turned"] == 1
    np.testing.assert_array_equal(found["turned"]["box"][0], found["plain"]["box"][0])
    np.testing.assert_array_equal(*found["turned"]["whole"])


def test_the_orientation_is_part_of_the_fingerprint_of_faces_only(inputs):
    """The record of what is done to images says upright where a face is cut, and nothing elsewhere."""
    cut, _, whole = (open_encoder(uri).preprocessing.to_json() for uri in inputs[1])
    assert cut["orientation"] == "upright"
    assert "orientation" not in whole


def test_threads_of_opencv(inputs, tmp_path):
    """Extraction leaves OpenCV's number of threads as it was."""
    cv2 = face_detection.import_extra("cv2", "faces")
    before = cv2.getNumThreads()
    extract(inputs[0], inputs[1], tmp_path)
    assert cv2.getNumThreads() == before
