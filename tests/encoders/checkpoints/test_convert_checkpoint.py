"""Conversion of checkpoints: real ones of Keras networks with random weights, and wrong ones."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.tensorflow_scripts import run_script

from intertwine.encoders.checkpoints.convert import arcface_weights, convert_checkpoint
from intertwine.encoders.checkpoints.reading import Variable, checkpoint_prefix, read_variables
from intertwine.encoders.faces.arcface import ARCHITECTURES
from intertwine.encoders.registry import open_encoder
from intertwine.errors import FileFormatError, InputError, MissingExtraError
from intertwine.storage.files import read_header, read_tensors

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Return what `keras_checkpoints.py` wrote, run in a process of its own."""
    folder = tmp_path_factory.mktemp("checkpoints")
    script = Path(__file__).with_name("keras_checkpoints.py")
    return run_script(script, folder, needs="tf_keras")


@pytest.fixture(scope="module")
def said(converted):
    """Return what each conversion said."""
    return json.loads((converted / "said.json").read_text())


@pytest.mark.slow
class TestKeras:
    @pytest.mark.parametrize("arch", ARCHITECTURES)
    def test_outputs_equal(self, arch, converted):
        """The converted network gives Keras' features to 1e-4, where their size is about 1."""
        encoder = open_encoder(f"arcface:{converted / arch}.safetensors", threads=1)
        saved = np.load(converted / f"{arch}.npz")
        got = encoder.run(np.ascontiguousarray(saved["images"].transpose(0, 3, 1, 2)))
        assert 0.5 < saved["features"].std() < 2
        np.testing.assert_allclose(got, saved["features"], rtol=0, atol=1e-4)

    @pytest.mark.parametrize("arch", ARCHITECTURES)
    def test_provenance(self, arch, converted, said):
        """The file says which network it is, and what it was made from, without its folder."""
        header = read_header(converted / f"{arch}.safetensors")
        assert header["kind"] == "weights"
        assert header["architecture"] == arch
        assert header["source"] == said[arch]["summary"]["source"]
        assert header["source"]["checkpoint"] == "e_1_b_2.ckpt"
        assert str(converted) not in json.dumps(header)

    def test_training_is_left_out(self, converted):
        """Neither the classifier nor the optimiser of a checkpoint saved in training is kept."""
        tensors, _ = read_tensors(converted / "mobilenet-v2.safetensors", kind="weights")
        assert len(tensors) == 270
        assert sum(name.startswith("output.") for name in tensors) == 10

    def test_folder(self, said):
        """A folder stands for its latest checkpoint."""
        assert said["folder"]["summary"]["source"] == said["mobilenet-v2"]["summary"]["source"]

    @pytest.mark.parametrize(
        ("case", "message"),
        [
            (
                "other architecture",
                r"as resnet-50: .* 318 weights missing \(conv1_conv.*, 260 weights unknown \(Conv1",
            ),
            ("narrow", r"output\.dense\.weight has shape \(64, 20480\), expected \(512, 20480\)"),
            ("small", r"variable dense.*/kernel \(layer_with_weights-0/kernel\) has no place"),
            ("damaged", "not a readable checkpoint"),
            ("plain", "a checkpoint without an object graph"),
        ],
    )
    def test_refused(self, case, message, said):
        """Another network, a damaged file and a checkpoint of another kind are refused."""
        assert said[case]["error"] == "FileFormatError"
        assert re.search(message, said[case]["message"])


def variable(path, name, value):
    """Return a variable."""
    return Variable(path, name, np.asarray(value, np.float32))


class TestNames:
    def test_axes(self):
        """Kernels change their axes from Keras' order to torch's; the rest stays."""
        part = "layer_with_weights-0/layer_with_weights-"
        conv, depthwise = RNG.random((3, 5, 4, 7)), RNG.random((3, 3, 4, 1))
        dense, mean = RNG.random((6, 8)), RNG.random(7)
        given = [
            variable(f"{part}0/kernel", "a/kernel", conv),
            variable(f"{part}1/depthwise_kernel", "b/depthwise_kernel", depthwise),
            variable(f"{part}2/moving_mean", "c/moving_mean", mean),
            variable("layer_with_weights-1/layer_with_weights-1/kernel", "dense_9/kernel", dense),
        ]
        got = arcface_weights(given, where="net")
        assert list(got) == ["a.weight", "b.weight", "c.running_mean", "output.dense.weight"]
        np.testing.assert_array_equal(got["a.weight"][6, 3, 2, 4], np.float32(conv[2, 4, 3, 6]))
        np.testing.assert_array_equal(
            got["b.weight"][3, 0, 1, 2], np.float32(depthwise[1, 2, 3, 0])
        )
        np.testing.assert_array_equal(got["output.dense.weight"], np.float32(dense.T))
        np.testing.assert_array_equal(got["c.running_mean"], np.float32(mean))

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("layer_with_weights-3/layer_with_weights-0/kernel", "a/kernel"),
            ("layer_with_weights-0/layer_with_weights-0/alpha", "a/alpha"),
            ("layer_with_weights-0/kernel", "kernel"),
        ],
    )
    def test_no_place(self, path, name):
        """A variable that such a network does not have is named."""
        with pytest.raises(FileFormatError, match=rf"variable {name} \({path}\) has no place"):
            arcface_weights([variable(path, name, [1])], where="net")

    def test_twice(self):
        """Two variables for one weight are refused."""
        twice = [
            variable(f"layer_with_weights-0/layer_with_weights-{i}/bias", "a/bias", [1])
            for i in range(2)
        ]
        with pytest.raises(FileFormatError, match=r"a/bias .* has no place"):
            arcface_weights(twice, where="net")


class TestArguments:
    def test_architecture(self, tmp_path):
        """An unknown architecture is answered with the known ones."""
        with pytest.raises(InputError, match="got --arch vgg, expected one of mobilenet-v2"):
            convert_checkpoint(tmp_path, tmp_path / "o.safetensors", arch="vgg")

    def test_output(self, tmp_path):
        """The file to write must be named as what it is."""
        with pytest.raises(InputError, match=r"o\.pt to write, .* ends in \.safetensors"):
            convert_checkpoint(tmp_path, tmp_path / "o.pt", arch="resnet-50")

    @pytest.mark.parametrize("name", ["a.ckpt", "a.ckpt.index"])
    def test_prefix(self, name, tmp_path):
        """A checkpoint is named by the beginning of its files or by its index."""
        with pytest.raises(InputError, match=r"no checkpoint, expected a\.ckpt\.index and a\.ckpt"):
            checkpoint_prefix(tmp_path / name)
        (tmp_path / "a.ckpt.index").touch()
        assert checkpoint_prefix(tmp_path / name) == tmp_path / "a.ckpt"

    def test_one_file(self, tmp_path):
        """The one file of TensorFlow 1's first format is a checkpoint by itself."""
        (tmp_path / "a.ckpt").touch()
        assert checkpoint_prefix(tmp_path / "a.ckpt") == tmp_path / "a.ckpt"

    def test_latest(self, tmp_path):
        """In a folder the youngest checkpoint is taken, and one must be there."""
        with pytest.raises(InputError, match=r"holds no checkpoint, expected NAME\.index files"):
            checkpoint_prefix(tmp_path)
        for age, name in enumerate(["b.index", "a.index", "c.index"]):
            (tmp_path / name).touch()
            os.utime(tmp_path / name, (1000 - age, 1000 - age))
        assert checkpoint_prefix(tmp_path) == tmp_path / "b"

    def test_missing_extra(self, tmp_path, monkeypatch):
        """Without TensorFlow, the error is the pip line."""
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[tensorflow\]'"):
            read_variables(tmp_path / "a.ckpt")
