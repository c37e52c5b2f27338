"""Inception-v2 converted from TF-slim's checkpoints, against the same network in TensorFlow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tests.tensorflow_scripts import run_script

from intertwine.encoders.checkpoints.convert import is_of_training, slim_weights
from intertwine.encoders.registry import open_encoder
from intertwine.errors import FileFormatError
from intertwine.storage.files import read_header, read_tensors

RNG = np.random.default_rng(0)
STEM = "InceptionV2/Conv2d_1a_7x7"


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Return the folder of what `slim_checkpoints.py` wrote, run in a process of its own."""
    folder = tmp_path_factory.mktemp("slim")
    return run_script(Path(__file__).with_name("slim_checkpoints.py"), folder)


@pytest.fixture(scope="module")
def said(converted):
    """Return what each conversion said."""
    return json.loads((converted / "said.json").read_text())


@pytest.mark.slow
class TestConverted:
    @pytest.mark.parametrize("size", [224, 97])
    def test_outputs_equal(self, size, converted):
        """The converted network gives TensorFlow's features and logits to 1e-5 of the largest."""
        saved = np.load(converted / "expected.npz")
        uri = f"inception-v2:{converted / 'v1.safetensors'}?crop={size}&background=keep"
        encoder = open_encoder(uri, threads=1)
        features = encoder.run(saved[f"images_{size}"].transpose(0, 3, 1, 2))
        logits = encoder.head.logits(features)
        for got, kind in ((features, "features"), (logits, "logits")):
            expected = saved[f"{kind}_{size}"]
            # Images must differ by far more than the tolerance, or they would test nothing.
            assert np.ptp(expected, axis=0).max() > 1e-3 * np.abs(expected).max()
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())

    def test_formats(self, converted, said):
        """Both formats of TensorFlow 1 give the same weights, and training leaves nothing in them."""
        first, _ = read_tensors(converted / "v1.safetensors", kind="weights")
        second, _ = read_tensors(converted / "v2.safetensors", kind="weights")
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[name], second[name]) for name in first)
        assert said["v1"]["summary"]["tensors"] == said["variables"]["count"] == 277
        # 10,173,112 up to the logits is what slim's own test expects.
        numbers = 10_173_112 + 1024 * 1001 + 1001
        assert said["v1"]["summary"]["weights"] == said["variables"]["numbers"] == numbers

    def test_provenance(self, converted, said):
        """The file says which network it is and what it was made from, without its folder."""
        for name, digest in (("v1", "file_sha256"), ("v2", "index_sha256")):
            header = read_header(converted / f"{name}.safetensors")
            assert header["architecture"] == "inception-v2"
            assert header["source"] == said[name]["summary"]["source"]
            assert header["source"]["checkpoint"] == f"{name}.ckpt"
            assert len(header["source"][digest]) == 64
            assert str(converted) not in json.dumps(header)

    @pytest.mark.parametrize(
        ("case", "message"),
        [
            ("other network", r"InceptionV3/Conv2d_1a_3x3/weights has no place .* inception_v2$"),
            (
                "part",
                r"276 weights missing \(Conv2d_1a_7x7\.depthwise\.weight, .*0 weights unknown",
            ),
            ("damaged", r"damaged\.ckpt: not a readable checkpoint"),
        ],
    )
    def test_refused(self, case, message, said):
        """Another network, a part of this one and a damaged file are refused."""
        assert said[case]["error"] == "FileFormatError"
        assert re.search(message, said[case]["message"])


class TestNames:
    def test_axes(self):
        """Kernels change their axes from TensorFlow's order to torch's; the rest stays."""
        block = "InceptionV2/Mixed_3b/Branch_1/Conv2d_0b_3x3"
        conv, depthwise = RNG.random((3, 3, 4, 5)), RNG.random((7, 7, 3, 8))
        logits, beta = RNG.random((1, 1, 6, 9)), RNG.random(5)
        given = {
            f"{block}/weights": conv,
            f"{block}/BatchNorm/beta": beta,
            f"{STEM}/depthwise_weights": depthwise,
            "InceptionV2/Logits/Conv2d_1c_1x1/weights": logits,
        }
        got = slim_weights(given, where="net")
        layer = "Mixed_3b.Branch_1.Conv2d_0b_3x3"
        assert list(got) == [
            f"{layer}.conv.weight",
            f"{layer}.norm.bias",
            "Conv2d_1a_7x7.depthwise.weight",
            "logits.weight",
        ]
        first, shift, separable, last = got.values()
        np.testing.assert_array_equal(first[4, 3, 1, 2], np.float32(conv[1, 2, 3, 4]))
        np.testing.assert_array_equal(shift, np.float32(beta))
        np.testing.assert_array_equal(
            separable[2 * 8 + 5, 0, 1, 6], np.float32(depthwise[1, 6, 2, 5])
        )
        np.testing.assert_array_equal(last, np.float32(logits[0, 0].T))

    @pytest.mark.parametrize(
        "name", [f"{STEM}/BatchNorm/gamma", "InceptionV3/Conv2d_1a_3x3/weights", "weights"]
    )
    def test_no_place(self, name):
        """A variable that such a network does not have is named."""
        with pytest.raises(FileFormatError, match=f"net: variable {name} has no place"):
            slim_weights({name: np.zeros(1)}, where="net")

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("global_step", True),
            ("beta1_power", True),
            (f"{STEM}/biases/ExponentialMovingAverage", True),
            (f"{STEM}/biases/RMSProp_1", True),
            (f"{STEM}/biases", False),
            ("InceptionV2/Mixed_3b/Branch_0/Conv2d_0a_1x1/BatchNorm/moving_mean", False),
        ],
    )
    def test_training(self, name, expected):
        """Counters and an optimiser's variables are known by their names."""
        assert is_of_training(name) is expected
