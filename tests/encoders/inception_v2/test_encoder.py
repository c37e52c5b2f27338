"""Inception-v2: its paddings, its options and its untrained control.

That it computes what TF-slim's does is shown in `tests/encoders/test_slim_weights.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.execution import Execution
from intertwine.encoders.inception_v2.encoder import open_uri
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import FileFormatError, InputError
from intertwine.storage.files import write_tensors

torch = lazy("torch")
InceptionV2 = lazy("intertwine.encoders.inception_v2.net", "InceptionV2")
ShiftNorm = lazy("intertwine.encoders.inception_v2.net", "ShiftNorm")
_halve = lazy("intertwine.encoders.inception_v2.net", "_halve")

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (2, 75, 75, 3), np.uint8)


def opened(options, path="untrained", *, named=True):
    """Return an encoder of small images."""
    uri = EncoderUri.parse(f"inception-v2:{path}?crop=75&{options}")
    return open_uri(replace(uri, named=named), Execution(1))


@pytest.fixture(scope="module")
def untrained():
    """Return an encoder with fresh weights."""
    return opened("weights=random:0")


@pytest.mark.parametrize("size", [5, 6, 7, 8])
def test_pooling(size):
    """The pooling with stride 2 pads as TensorFlow's `same`: one more row below an even size."""
    x = RNG.random((size, size)).astype(np.float32)
    before = size % 2
    starts = [
        range(max(2 * i - before, 0), min(2 * i - before + 3, size)) for i in range(-(-size // 2))
    ]
    expected = [[x[np.ix_(rows, columns)].max() for columns in starts] for rows in starts]
    np.testing.assert_array_equal(_halve(torch.tensor(x)[None, None])[0, 0].numpy(), expected)


def test_shift_norm():
    """The normalisation shifts and does not scale, and holds no scale to be loaded."""
    norm = ShiftNorm(2).eval()
    assert sorted(norm.state_dict()) == [
        "bias",
        "num_batches_tracked",
        "running_mean",
        "running_var",
    ]
    state = {"bias": [1.0, 2.0], "running_mean": [3.0, 4.0], "running_var": [0.25, 4.0]}
    norm.load_state_dict({name: torch.tensor(v) for name, v in state.items()}, strict=False)
    x = torch.ones(1, 2, 1, 1)
    expected = 1 + (1 - 3) / np.sqrt(0.251), 2 + (1 - 4) / np.sqrt(4.001)
    np.testing.assert_allclose(norm(x).detach().numpy().ravel(), expected, rtol=1e-6)


def test_parameters(untrained):
    """It has 11.2 million weights: slim's 11,199,137 less the statistics of its normalisations."""
    network = InceptionV2()
    statistics = [b.numel() for name, b in network.named_buffers() if "running" in name]
    assert len(statistics) == 2 * 68
    assert untrained.parameters + sum(statistics) == 11_199_137
    assert untrained.parameters == 11_179_361


@pytest.mark.slow
def test_facts(untrained):
    """It is 1024-d with ImageNet's 1000 classes, and preprocesses as it was trained."""
    assert (untrained.dim, untrained.head.n_classes) == (1024, 1000)
    uri = EncoderUri.parse("inception-v2:untrained?weights=random:0")
    preprocessing = open_uri(replace(uri, named=True), Execution(1)).preprocessing
    assert (preprocessing.size, preprocessing.resize) == ((224, 224), "centre")
    assert (preprocessing.mean, preprocessing.std) == ((127.5,) * 3, (127.5,) * 3)


@pytest.mark.slow
def test_background(untrained):
    """Class 0, the background, is left out unless it is to be kept."""
    kept = opened("weights=random:0&background=keep")
    assert kept.head.n_classes == 1001
    np.testing.assert_array_equal(kept.head.weight[1:], untrained.head.weight)


@pytest.mark.slow
def test_seed(untrained):
    """The seed decides the untrained weights, and features neither fade nor explode."""
    features = untrained.encode(IMAGES)
    np.testing.assert_array_equal(opened("weights=random:0").encode(IMAGES), features)
    assert np.abs(opened("weights=random:1").encode(IMAGES) - features).max() > 0.1
    assert 0.1 < features.std() < 10


def test_file(untrained, tmp_path):
    """A file of weights is opened, and one of another network refused."""
    torch.manual_seed(0)
    state = {
        name: value.numpy()
        for name, value in InceptionV2().state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    path = tmp_path / "net.safetensors"
    write_tensors(path, state, kind="weights", header={})
    encoder = opened("background=drop", path, named=False)
    np.testing.assert_array_equal(encoder.encode(IMAGES), untrained.encode(IMAGES))
    del state["logits.bias"]
    write_tensors(path, state, kind="weights", header={})
    with pytest.raises(FileFormatError, match=r"1 weight missing \(logits\.bias\)"):
        opened("background=drop", path, named=False)


def test_no_file():
    """Without a file the error says how to make one."""
    with pytest.raises(InputError, match=r"no file untrained; make it from .*convert-checkpoint"):
        opened("background=drop")
