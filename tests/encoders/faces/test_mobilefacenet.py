"""MobileFaceNet encoders: the architecture against the same mathematics written out."""

from __future__ import annotations

import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.registry import open_encoder
from intertwine.errors import InputError

torch = lazy("torch")
functional = lazy("torch.nn.functional")
MobileFaceNet = lazy("intertwine.encoders.faces.nets.mobilefacenet", "MobileFaceNet")

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)


def plain(state, x):
    """Return features (n, 128): the network as functions of named weights."""

    def norm(y, name):
        mean, var, weight, bias = (
            state[f"{name}.{kind}"][:, None, None]
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return (y - mean) / torch.sqrt(var + 1e-5) * weight + bias

    def conv(y, name, stride=1, bias=None):
        weight = state[f"{name}.weight"]
        groups = y.shape[1] // weight.shape[1]
        padding = 1 if weight.shape[2] == 3 else 0
        return functional.conv2d(y, weight, bias, stride, padding, groups=groups)

    def relu6(y, name, stride=1):
        return norm(conv(y, f"{name}.0", stride), f"{name}.1").clamp(0, 6)

    x = relu6(x, "conv1", 2)
    x = norm(conv(x, "dw_conv.depthwise"), "dw_conv.bn1").clamp(min=0)
    x = norm(conv(x, "dw_conv.pointwise"), "dw_conv.bn2").clamp(min=0)
    for index in range(15):
        name = f"features.{index}.conv"
        stride = 2 if index in {0, 5, 12} else 1
        y = relu6(relu6(x, f"{name}.0"), f"{name}.1", stride)
        y = norm(conv(y, f"{name}.2"), f"{name}.3")
        x = y if stride == 2 else x + y
    x = norm(conv(relu6(x, "conv2"), "gdconv.depthwise"), "gdconv.bn")
    return norm(conv(x, "conv3", bias=state["conv3.bias"]), "bn").flatten(1)


@pytest.fixture(scope="module")
def state():
    """Return random weights and statistics of an untrained network."""
    torch.manual_seed(0)
    state = MobileFaceNet().state_dict()
    for name, value in state.items():
        if "running_mean" in name:
            value.normal_(0, 0.1)
        elif "running_var" in name:
            value.uniform_(0.5, 1.5)
    return state


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    """Return a file of them."""
    path = tmp_path_factory.mktemp("mobilefacenet") / "net.pt"
    torch.save(state, path)
    return path


def test_features(file, state):
    """The network is the published one, of pixels normalised as ImageNet's."""
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    batch = torch.tensor((IMAGES.astype(np.float32) / 255 - mean) / std).permute(0, 3, 1, 2)
    want = plain(state, batch).numpy()
    got = open_encoder(f"mobilefacenet:{file}").encode(IMAGES)
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())


def test_facts(file):
    """It is 128-d, has no head and about a million parameters, and aligns faces."""
    encoder = open_encoder(f"mobilefacenet:{file}")
    assert (encoder.dim, encoder.head, encoder.parameters) == (128, None, 999_936)
    assert encoder.preprocessing.face == "arcface"


def test_fixed_size(file):
    """Its last convolution fixes the size of its input."""
    with pytest.raises(InputError, match="got crop=160x160, but the network's input is 112x112"):
        open_encoder(f"mobilefacenet:{file}?crop=160")
