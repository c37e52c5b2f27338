"""TensorFlow SavedModels as encoders: `hub_models.py` makes and opens them, in its own process."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.tensorflow_scripts import run_script

from intertwine.encoders.registry import open_encoder
from intertwine.encoders.tfhub.encoder import _limit
from intertwine.encoders.tfhub.signature import gist
from intertwine.errors import MissingExtraError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of what the script wrote."""
    made = tmp_path_factory.mktemp("hub")
    return run_script(Path(__file__).with_name("hub_models.py"), made)


@pytest.fixture(scope="module")
def arrays(folder):
    """Return what the encoders and the networks computed."""
    return np.load(folder / "results.npz")


@pytest.fixture(scope="module")
def said(folder):
    """Return what the encoders say of themselves, by case."""
    return json.loads((folder / "said.json").read_text())


def assert_close(got, expected):
    """Check that arrays of one shape agree to 1e-5 of the largest number."""
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def softmax(logits):
    """Return the shares of classes."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.slow
class TestSplit:
    @pytest.mark.parametrize(
        "case",
        [
            "logits",
            "convolved",
            "module",
            "called",
            "first",
            "crop",
            "one",
            "four",
            "bytes",
            "raw",
            "layer",
        ],
    )
    def test_logits(self, case, arrays, said):
        """The head on the features gives TensorFlow's own logits."""
        assert (said[case]["dim"], said[case]["classes"]) == (8, 6)
        assert_close(arrays[f"{case}/logits"], arrays[f"{case}/output"])

    @pytest.mark.parametrize("case", ["probabilities", "squeezed"])
    def test_softmax(self, case, arrays, said):
        """Behind a softmax the head gives what the softmax reads."""
        assert (said[case]["dim"], said[case]["classes"]) == (8, 6)
        assert_close(softmax(arrays[f"{case}/logits"]), arrays[f"{case}/output"])

    @pytest.mark.parametrize("case", ["logits", "probabilities", "convolved", "called"])
    def test_features(self, case, arrays):
        """The features are what the head reads, averaged over positions where it is convolved."""
        if case != "called":
            assert_close(arrays[f"{case}/features"], arrays["vectors"])
        assert arrays[f"{case}/features"].std() > 0.1

    @pytest.mark.parametrize("case", ["features", "chosen"])
    def test_feature_vector(self, case, arrays, said):
        """Where no classifier ends the network, its output is the features."""
        assert said[case]["classes"] is None
        assert_close(arrays[f"{case}/features"], arrays[f"{case}/output"])

    @pytest.mark.parametrize("case", ["head=none", "layer output"])
    def test_head_none(self, case, arrays, said):
        """With head=none the network's or the layer's output is the features."""
        assert (said[case]["dim"], said[case]["classes"]) == (6, None)
        assert_close(arrays[f"{case}/features"], arrays[f"{case}/output"])

    def test_background(self, arrays):
        """background=drop leaves out class 0."""
        np.testing.assert_array_equal(arrays["background/logits"], arrays["logits/logits"][:, 1:])

    def test_repeatable(self, arrays, said):
        """Opened twice, by scheme or by module, the network gives the same bits."""
        np.testing.assert_array_equal(arrays["logits/by name"], arrays["logits/features"])
        assert said["random:0"] == said["random:0 again"]

    def test_facts(self, said):
        """Size and number of weights are the network's; another model is another fingerprint."""
        assert said["logits"]["size"] == [20, 20]
        # Kernel, 4 of the normalisation, depthwise kernel, the head.
        assert said["logits"]["parameters"] == 216 + 4 * 8 + 72 + 8 * 6 + 6
        assert said["features"]["parameters"] == 216 + 4 * 8 + 72
        fingerprints = {said[case]["fingerprint"] for case in ("logits", "raw", "probabilities")}
        assert len(fingerprints) == 3


@pytest.mark.slow
class TestModule:
    def test_signatures(self, arrays, said):
        """A module of TensorFlow 1 gives features alone, or with its head, by the signature."""
        np.testing.assert_array_equal(arrays["module vector/features"], arrays["module/features"])
        assert said["module vector"]["classes"] is None
        np.testing.assert_array_equal(arrays["module classes/logits"], arrays["module/logits"])


@pytest.mark.slow
class TestRandom:
    def test_seed(self, arrays, said):
        """The seed decides the weights, and both are in the fingerprint."""
        for kind in ("features", "logits"):
            np.testing.assert_array_equal(
                arrays[f"random:0/{kind}"], arrays[f"random:0 again/{kind}"]
            )
            assert np.abs(arrays[f"random:0/{kind}"] - arrays[f"random:1/{kind}"]).max() > 0.1
        digests = {said[case]["weights_sha256"] for case in ("logits", "random:0", "random:1")}
        assert len(digests) == 3

    def test_nothing_is_left(self, arrays):
        """The drawn network has no bias and the usual statistics: black images give zeros."""
        assert np.abs(arrays["random:0/logits"]).max() > 0.1
        np.testing.assert_array_equal(arrays["random black/logits"], 0)
        assert arrays["random convolved/logits"].std() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("module maps", r"features have shape \(1, 10, 10, 8\) for one image"),
        ("module output", "no output nothing; it has default"),
        ("several", "has signatures logits, features; choose one with signature=NAME"),
        ("both", "has outputs a, b; choose one with signature=NAME:OUTPUT"),
        ("unknown signature", "no signature nothing; it has logits, features"),
        ("empty", "has no signature and no function to call it by"),
        ("any size", "leaves its input size open; give it with crop=224"),
        ("small", "TensorFlow cannot run it .* would be negative"),
        ("other crop", "got crop=24x24, but the network's input is 20x20"),
        ("texts", r"it reads string \[None\], expected images \(n, h, w, 3\) of floats or uint8"),
        ("two", r"got inputs a, b, expected one, the image"),
        ("table", r"got inputs image, unknown_\d+, expected one"),
        ("random shifted", "weights=random cannot redraw the constant unknown"),
        ("random norm", "weights=random cannot redraw the constant unknown"),
        ("random nothing", "weights=random found no layer with constant weights"),
        ("not plain", "precision bfloat16, but such networks run on the cpu in float32"),
        ("halved", "does not make the network's own output of the features; give head=none"),
        ("paired", "does not make the network.s own output of the features; give head=none"),
        ("rooted", "no head found: Sqrt stands between its last linear layer and its output"),
        ("unknown layer", "no layer 'nothing'; its last linear layers are .*/Conv2D, .*/matmul"),
        ("no linear layer", "Relu is a Relu, expected Conv2D, MatMul"),
        ("wide", "no plain fully connected layer or 1×1 convolution with constant weights"),
        ("maps", r"features have shape \(1, 10, 10, 8\) for one image"),
        ("unfreezable", "its variables cannot be frozen"),
        ("nothing", r"no SavedModel, expected saved_model\.pb and variables/ in it$"),
        ("outer", r"no SavedModel, .* in it; one lies in its folder any$"),
    ],
)
def test_input_error(case, message, said):
    """What cannot be opened as asked is refused in one line that says what to do."""
    assert said[case]["error"] == "InputError"
    assert re.search(message, said[case]["message"])
    assert "\n" not in said[case]["message"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("damaged", r"saved_model\.pb: not a readable SavedModel"),
        ("bare", "TensorFlow cannot load it .*Failed to find any matching files"),
        ("tagged", r"holds graphs tagged \[\[\], \['train'\]\], expected one tagged \['serve'\]"),
    ],
)
def test_format_error(case, message, said):
    """What TensorFlow cannot read is refused in one line."""
    assert said[case]["error"] == "FileFormatError"
    assert re.search(message, said[case]["message"])
    assert "\n" not in said[case]["message"]


class TestThreads:
    def test_set(self):
        """The threads asked for are set before TensorFlow computes; none asked, none set."""
        threads = {}
        threading = SimpleNamespace(
            set_intra_op_parallelism_threads=lambda n: threads.update(intra=n),
            set_inter_op_parallelism_threads=lambda n: threads.update(inter=n),
        )
        tf = SimpleNamespace(config=SimpleNamespace(threading=threading))
        _limit(tf, None)
        assert threads == {}
        _limit(tf, 3)
        assert threads == {"intra": 3, "inter": 1}

    def test_too_late(self):
        """A TensorFlow that computed before keeps its threads."""

        def refuse(count):
            raise RuntimeError(count)

        threading = SimpleNamespace(set_intra_op_parallelism_threads=refuse)
        _limit(SimpleNamespace(config=SimpleNamespace(threading=threading)), 3)


def test_gist():
    """Of TensorFlow's many lines the one that says what is wrong is taken."""
    said = "Graph execution error:\n\nDetected at node x:\n<stack traces>\nwrong size\n\t [[x]]"
    assert gist(ValueError(said)) == "wrong size"
    assert gist(ValueError()) == "ValueError"


def test_missing_extra(tmp_path, monkeypatch):
    """Without TensorFlow, the error is the pip line."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[tensorflow\]'"):
        open_encoder(f"tfhub:{tmp_path}")
