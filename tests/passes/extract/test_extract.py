"""Extraction: one pass, every encoder, and on again after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.passes.extract import pixels
from intertwine.passes.extract.extract import extract

N = 50
FILES = ["a.npy", "b.npy", "a.head.safetensors", "labels.npy", "ids.txt", "feature_set.json"]

NETWORK = """
import torch

def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 9))
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, write_images, write_network):
    """Return a folder of images and two encoder URIs."""
    folder = tmp_path_factory.mktemp("extract")
    images = write_images(folder / "images", N)
    uris = [
        f"onnx:{write_network(folder / 'a.onnx', seed=1)}?mean=100&channels=bgr",
        f"onnx:{write_network(folder / 'b.onnx', seed=2, width=9)}?resize=centre:9",
    ]
    return images, uris


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory):
    """Return the set that one run without interruption makes."""
    out = tmp_path_factory.mktemp("undisturbed") / "set"
    extract(*inputs, out, batch_size=4, threads=1)
    return out


def contents(folder):
    """Return the bytes of a set's files."""
    return {name: (folder / name).read_bytes() for name in FILES}


# An encoder of texts: their lengths, and how many words they have.
WORDS = """
import numpy as np

from intertwine.encoders.encoder import Encoder
from intertwine.encoders.preprocessing import TextPreprocessing


def make():
    return Encoder(
        name="words", uri="", dim=2, preprocessing=TextPreprocessing(prompt="say "), head=None,
        weights_sha256="0", split="none", parameters=0,
        run=lambda texts: np.array([[len(t), len(t.split())] for t in texts], np.float32),
    )
"""


def times(folder):
    """Return when each of a set's files was changed."""
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


class TestResult:
    def test_features(self, inputs, undisturbed):
        """Features are the network's inner tensor of the resized images, in float16."""
        images, (uri, _) = inputs
        path = uri.removeprefix("onnx:").split("?")[0]
        batch = []
        for file in sorted(images.glob("*.png")):
            pixels = Image.open(file).convert("RGB").resize((8, 8), Image.Resampling.BILINEAR)
            batch.append(np.asarray(pixels, np.float32)[..., ::-1].transpose(2, 0, 1) - 100)
        logits = onnxruntime.InferenceSession(path).run(None, {"image": np.stack(batch)})[0]
        feature_set = FeatureSet.open(undisturbed)
        features = feature_set.read(["a"], range(N))["a"]
        assert features.dtype == np.float16
        got = feature_set.heads["a"].logits(features)
        np.testing.assert_allclose(got, logits, atol=0.02, rtol=0.01)

    def test_set(self, inputs, undisturbed):
        """The set holds ids, labels and what made each space."""
        feature_set = FeatureSet.open(undisturbed)
        assert feature_set.n == N
        np.testing.assert_array_equal(feature_set.labels, np.arange(N) % 4)
        assert (undisturbed / "ids.txt").read_text().split()[1] == "0001.png"
        assert feature_set.source == {"path": str(inputs[0]), "kind": "labels", "rows": None}
        info = feature_set.info["b"]
        assert info["encoder"] == inputs[1][1]
        assert (info["dim"], info["crop"], info["dtype"]) == (9, [8, 8], "float16")
        assert info["preprocessing"]["shorter"] == 9
        assert info["complete"] == [[0, N]]

    def test_summary(self, inputs, tmp_path):
        """The summary is JSON and counts the rows run now."""
        summary = extract(inputs[0], inputs[1][:1], tmp_path / "set")
        assert json.loads(json.dumps(summary)) == summary
        assert (summary["rows"], summary["extracted"]) == (N, N)
        assert summary["spaces"]["a"]["dim"] == 6
        assert 0 < N / summary["rate"] <= summary["seconds"]
        assert summary["left_out"] == {"count": 0, "ids": []}
        assert extract(inputs[0], inputs[1][:1], tmp_path / "set")["extracted"] == 0

    def test_one_decoding_for_all(self, inputs, tmp_path, monkeypatch):
        """Each image is decoded once and resized once a distinct resize, however many encoders."""
        counts = {"decode": 0, "resize": 0}

        def counted(name, function):
            def call(*arguments, **options):
                counts[name] += 1
                return function(*arguments, **options)

            return call

        for name in counts:
            monkeypatch.setattr(pixels, name, counted(name, getattr(pixels, name)))
        uris = [*inputs[1], f"{inputs[1][0]}&name=c"]
        extract(inputs[0], uris, tmp_path / "set", readers=1)
        assert counts == {"decode": N, "resize": 2 * N}

    def test_deterministic(self, inputs, undisturbed, tmp_path):
        """Two runs give the same bytes, whatever the number of decoding threads."""
        for workers in (1, 5):
            out = tmp_path / str(workers)
            extract(*inputs, out, batch_size=4, threads=1, readers=workers)
            assert contents(out) == contents(undisturbed)

    def test_rows(self, inputs, undisturbed, tmp_path):
        """A part of the input is a set of its own."""
        extract(*inputs, tmp_path, rows=(8, 21), batch_size=4, threads=1)
        part = np.load(tmp_path / "a.npy")
        np.testing.assert_array_equal(part, np.load(undisturbed / "a.npy")[8:21])
        assert FeatureSet.open(tmp_path).source["rows"] == [8, 21]

    def test_float32(self, inputs, undisturbed, tmp_path):
        """With float32 nothing is rounded."""
        extract(*inputs, tmp_path, batch_size=4, threads=1, dtype="float32")
        got = np.load(tmp_path / "a.npy")
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got.astype(np.float16), np.load(undisturbed / "a.npy"))

    def test_class_folders(self, inputs, tmp_path, write_images):
        """Class folders give labels and classes.txt."""
        for name in ("dog", "cat"):
            write_images(tmp_path / "in" / name, 3, labels=False)
        extract(tmp_path / "in", inputs[1], tmp_path / "set")
        np.testing.assert_array_equal(np.load(tmp_path / "set" / "labels.npy"), [0] * 3 + [1] * 3)
        assert (tmp_path / "set" / "classes.txt").read_text() == "cat\ndog\n"

    def test_progress(self, inputs, tmp_path):
        """Progress goes from nothing to all rows, in order."""
        seen = []
        extract(*inputs, tmp_path, batch_size=16, progress=lambda *pair: seen.append(pair))
        assert seen == [(0, 50), (16, 50), (32, 50), (48, 50), (50, 50)]

    def test_bounded_decoding(self, inputs, tmp_path, monkeypatch):
        """Decoding runs ahead of the networks by a bounded number of images."""
        decoded, waiting = [], []
        monkeypatch.setattr(
            pixels, "decode", lambda file, **_: decoded.append(1) or Image.open(file).convert("RGB")
        )

        def slow(done, _):
            time.sleep(0.01)
            waiting.append(len(decoded) - done)

        extract(*inputs, tmp_path, batch_size=4, progress=slow)
        assert max(waiting) <= 4 * (pixels.BATCHES_AHEAD + 1)


class TestResume:
    def test_added_encoder(self, inputs, undisturbed, tmp_path):
        """An encoder added to a set runs alone and touches no file of another; all is as together."""
        images, uris = inputs
        extract(images, uris[:1], tmp_path, batch_size=4, threads=1)
        before = times(tmp_path)
        before.pop("feature_set.json")
        summary = extract(images, uris, tmp_path, batch_size=4, threads=1)
        assert [space["extracted"] for space in summary["spaces"].values()] == [0, N]
        assert {name: times(tmp_path)[name] for name in before} == before
        assert contents(tmp_path) == contents(undisturbed)

    def test_finished(self, inputs, tmp_path):
        """The same call on a finished set touches no file."""
        extract(*inputs, tmp_path)
        before = times(tmp_path)
        extract(*inputs, tmp_path)
        assert times(tmp_path) == before

    def test_interrupted(self, inputs, undisturbed, tmp_path):
        """Ctrl-C loses at most the batch in flight, and the same call goes on."""
        totals = []

        def interrupt(done, total):
            totals.append(total)
            if done >= 20 and len(totals) > 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            extract(*inputs, tmp_path, batch_size=4, threads=1, progress=interrupt)
        totals.clear()
        extract(*inputs, tmp_path, batch_size=4, threads=1, progress=lambda _, n: totals.append(n))
        assert totals[0] == N - 20
        assert contents(tmp_path) == contents(undisturbed)

    def test_another_batch_size(self, inputs, tmp_path):
        """A set may be finished with another batch size: only rows that lack are written."""

        def interrupt(done, _):
            if done >= 12:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            extract(*inputs, tmp_path, batch_size=4, progress=interrupt)
        before = np.load(tmp_path / "a.npy")[:12]
        summary = extract(*inputs, tmp_path, batch_size=32)
        assert summary["extracted"] == N - 12
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[:12], before)
        FeatureSet.open(tmp_path)

    def test_corrupt_image(self, inputs, write_images, tmp_path):
        """A corrupt image stops the pass by name; mended, the pass goes on from there."""
        images = write_images(tmp_path / "images", 12)
        good = (images / "0009.png").read_bytes()
        (images / "0009.png").write_bytes(good[:60])
        with pytest.raises(InputError, match=r"0009\.png: not a readable image"):
            extract(images, inputs[1], tmp_path / "set", batch_size=4)
        (images / "0009.png").write_bytes(good)
        assert extract(images, inputs[1], tmp_path / "set", batch_size=4)["extracted"] == 4

    def test_other_encoder_of_the_same_name(self, inputs, tmp_path):
        """Another preprocessing under the same name is refused, not mixed in."""
        images, (uri, _) = inputs
        extract(images, [uri], tmp_path)
        with pytest.raises(InputError, match="space a has fingerprint"):
            extract(images, [uri.replace("mean=100", "mean=99")], tmp_path)

    @pytest.mark.slow
    def test_killed(self, inputs, undisturbed, tmp_path):
        """Killed at random moments and started again, a run ends with the same bytes."""
        images, uris = inputs
        code = (
            "import time; from intertwine.passes.extract import extract as module, run; "
            "run.COMMIT_SECONDS = 0; "
            f"module.extract({str(images)!r}, {uris!r}, {str(tmp_path / 'set')!r}, batch_size=4, "
            "threads=1, progress=lambda d, n: (print(d, n, flush=True), time.sleep(0.1)))"
        )
        chance, totals = np.random.default_rng(0), []
        for _ in range(4):
            run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
            totals.append(int(run.stdout.readline().split()[1]))
            run.stdout.readline()  # the first batch is complete
            time.sleep(chance.uniform(0, 0.11))
            run.send_signal(signal.SIGKILL)
            run.communicate()
        assert run.returncode == -signal.SIGKILL
        assert all(later < earlier for earlier, later in pairwise(totals))
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert contents(tmp_path / "set") == contents(undisturbed)
        assert not list((tmp_path / "set").glob(".tmp-*"))


def test_bfloat16(inputs, tmp_path):
    """Products in bfloat16 give features a little off, of a space that no other precision joins."""
    (tmp_path / "net.py").write_text(NETWORK)
    uri = f"python:{tmp_path / 'net.py'}?crop=8&scale=1/255"
    rows = {}
    for precision in ("float32", "bfloat16"):
        extract(inputs[0], [uri], tmp_path / precision, precision=precision, dtype="float32")
        opened = FeatureSet.open(tmp_path / precision)
        assert opened.info["net"]["precision"] == precision
        rows[precision] = opened.read(["net"], range(N))["net"]
    error = np.abs(rows["bfloat16"] - rows["float32"]).max() / np.abs(rows["float32"]).max()
    assert 1e-5 < error < 1e-2
    with pytest.raises(InputError, match=r"space net has fingerprint .* give the encoder"):
        extract(inputs[0], [uri], tmp_path / "bfloat16", dtype="float32")


class TestErrors:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"encoder_uris": []}, "got no encoder, expected at least one"),
            ({"batch_size": 0}, "got batch size 0, expected at least 1"),
            ({"dtype": "float64"}, "got dtype 'float64', expected one of float16, float32"),
            ({"rows": (0, 51)}, "got rows 0:51, expected some of 0:50"),
        ],
    )
    def test_options(self, inputs, tmp_path, change, message):
        """Impossible options are refused before anything is written."""
        options = {"input": inputs[0], "encoder_uris": inputs[1], "out": tmp_path / "set"}
        with pytest.raises(InputError, match=message):
            extract(**{**options, **change})
        assert not (tmp_path / "set").exists()

    def test_two_spaces_of_one_name(self, inputs, tmp_path):
        """Two encoders of one space name are refused before anything is opened."""
        with pytest.raises(InputError, match="two encoders have the space name a; give one name="):
            extract(inputs[0], [inputs[1][0]] * 2, tmp_path / "set")

    def test_images_and_texts(self, inputs, tmp_path):
        """Encoders of images and of texts are refused in one call, each named."""
        (tmp_path / "words.py").write_text(WORDS)
        uris = [inputs[1][0], f"python:{tmp_path / 'words.py'}"]
        with pytest.raises(
            InputError, match="encoder a reads images and words reads texts, expected encoders of"
        ):
            extract(inputs[0], uris, tmp_path / "set")

    def test_overflow(self, inputs, tmp_path):
        """Features beyond float16 name the space, the row and the way out."""
        uri = f"{inputs[1][0]}&scale=1e8"
        with pytest.raises(InputError, match=r"space a: row \d+ reaches .* use --dtype float32"):
            extract(inputs[0], [uri], tmp_path / "half")
        extract(inputs[0], [uri], tmp_path / "whole", dtype="float32")
        assert FeatureSet.open(tmp_path / "whole").n == N


def test_texts(tmp_path):
    """Texts are read by lines and go through encoders of texts in batches."""
    (tmp_path / "words.py").write_text(WORDS)
    (tmp_path / "in.txt").write_text("".join(f"{'a ' * row}b\n" for row in range(9)))
    extract(
        tmp_path / "in.txt", [f"python:{tmp_path / 'words.py'}"], tmp_path / "set", batch_size=4
    )
    feature_set = FeatureSet.open(tmp_path / "set")
    want = [[2 * row + 5, row + 2] for row in range(9)]
    np.testing.assert_array_equal(feature_set.read(["words"], range(9))["words"], want)
    assert feature_set.info["words"]["preprocessing"]["prompt"] == "say "


@pytest.mark.slow
def test_real_networks(shared_data, tmp_path):
    """Two real networks over real images reach their known accuracy."""
    models = shared_data / "models"
    uris = [
        f"onnx:{models}/googlenet_bvlc.onnx?channels=bgr&mean=104,117,123&name=googlenet",
        f"tflite:{models}/tf2_mobilenet_v2_1.0_224_ptq.tflite?background=drop&name=mobilenet",
    ]
    extract(shared_data / "imagenet-val", uris, tmp_path, rows=(0, 96))
    feature_set = FeatureSet.open(tmp_path)
    for name, features in feature_set.read(["googlenet", "mobilenet"], range(96)).items():
        labels = feature_set.heads[name].logits(features).argmax(axis=1)
        assert (labels == feature_set.labels).mean() > 0.5


@pytest.mark.parametrize("encoder", ["the same", "another"])
def test_images_newer_than_the_set_are_doubted(inputs, tmp_path, write_images, encoder):
    """A set keeps the features it has, so images that changed since it was made are said each time."""
    images, uris = write_images(tmp_path / "images", 3), inputs[1]
    first, second = uris[:1], uris[:1] if encoder == "the same" else uris
    assert extract(images, first, tmp_path / "set")["warnings"] == []
    assert extract(images, second, tmp_path / "set")["warnings"] == []
    changed = sorted(images.glob("*.png"))[1]
    later = (tmp_path / "set" / "b.npy" if encoder == "another" else tmp_path).stat().st_mtime + 60
    os.utime(changed, (later, later))
    for _ in range(2):
        said = []
        (warning,) = extract(images, second, tmp_path / "set", notify=said.append)["warnings"]
        assert f"{changed.name} is newer than the set" in warning
        assert said[0] == f"warning: {warning}"


def test_a_set_of_another_folder_is_doubted(inputs, tmp_path, write_images):
    """Images of like ids elsewhere may be others: what the set was extracted from is said first."""
    uris = inputs[1][:1]
    one, two = (write_images(tmp_path / name, 3) for name in ("one", "two"))
    assert extract(one, uris, tmp_path / "set")["warnings"] == []
    (warning,) = extract(two, uris, tmp_path / "set")["warnings"]
    assert f"was extracted from {one} and keeps the features that it has" in warning
    (tmp_path / "link").symlink_to(one)
    assert extract(tmp_path / "link", uris, tmp_path / "set")["warnings"] == []
