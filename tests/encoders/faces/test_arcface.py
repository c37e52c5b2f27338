"""ArcFace encoders: Keras' paddings and axes in torch, and which network a file holds."""

from __future__ import annotations

import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.faces.arcface import ARCHITECTURES, architecture
from intertwine.encoders.registry import open_encoder
from intertwine.errors import FileFormatError, InputError
from intertwine.storage.files import write_tensors

torch = lazy("torch")
ArcFaceOutput = lazy("intertwine.encoders.torch.keras_layers", "ArcFaceOutput")
SameConv2d = lazy("intertwine.encoders.torch.keras_layers", "SameConv2d")

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of untrained MobileNetV2 weights with (net) and without (bare) a header."""
    folder = tmp_path_factory.mktemp("arcface")
    state = architecture("mobilenet-v2")().state_dict()
    tensors = {name: value.numpy() for name, value in state.items()}
    header = {"architecture": "mobilenet-v2"}
    write_tensors(folder / "net.safetensors", tensors, kind="weights", header=header)
    write_tensors(folder / "bare.safetensors", tensors, kind="weights", header={})
    return folder


@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 2), (5, 2), (2, 2)])
def test_same_padding(size, kernel, stride):
    """A convolution pads as TensorFlow's `same`: the larger half right and below."""
    layer = SameConv2d(2, 3, kernel, stride, bias=False)
    x = RNG.standard_normal((2, size, size)).astype(np.float32)
    weight = layer.weight.detach().numpy()
    n_out = int(np.ceil(size / stride))
    before = max((n_out - 1) * stride + kernel - size, 0) // 2
    want = np.zeros((3, n_out, n_out))
    for i, j, a, b in np.ndindex(n_out, n_out, kernel, kernel):
        row, column = i * stride + a - before, j * stride + b - before
        if 0 <= row < size and 0 <= column < size:
            want[:, i, j] += weight[:, :, a, b] @ x[:, row, column]
    got = layer(torch.tensor(x)[None])[0].detach().numpy()
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_output_layer():
    """The output layer flattens with the channels last, between two normalisations."""
    layer = ArcFaceOutput(2).eval()
    layer.norm_in.running_mean.copy_(torch.tensor([1.0, 2.0]))
    layer.norm_out.running_var.fill_(4)
    x = RNG.standard_normal((1, 2, 4, 4)).astype(np.float32)
    flat = np.stack([(x[0, 0] - 1), (x[0, 1] - 2)], axis=-1).ravel() / np.sqrt(1.001)
    dense = layer.dense.weight.detach().numpy() @ flat + layer.dense.bias.detach().numpy()
    got = layer(torch.tensor(x))[0].detach().numpy()
    np.testing.assert_allclose(got, dense / np.sqrt(4.001), atol=1e-5)


@pytest.mark.quick("mobilenet-v2-12713728-20480")
@pytest.mark.parametrize(
    ("name", "parameters", "positions"),
    [("mobilenet-v2", 12_713_728, 20480), ("resnet-50", 40_317_440, 32768)],
)
def test_architectures(name, parameters, positions):
    """The networks have Keras' numbers of parameters and positions."""
    network = architecture(name)()
    assert sum(weight.numel() for weight in network.parameters()) == parameters
    assert network.output.dense.in_features == positions


@pytest.mark.slow
def test_facts(folder):
    """The file says which network it holds; it is 512-d, without a head, of aligned faces / 255."""
    encoder = open_encoder(f"arcface:{folder / 'net.safetensors'}", threads=1)
    assert (encoder.dim, encoder.head, encoder.parameters) == (512, None, 12_713_728)
    preprocessing = encoder.preprocessing
    assert (preprocessing.size, preprocessing.face) == ((112, 112), "arcface")
    assert preprocessing.scale == pytest.approx(1 / 255)


@pytest.mark.slow
def test_architecture_said_in_the_uri(folder):
    """Weights without a header open when the URI says which network they are."""
    bare = folder / "bare.safetensors"
    assert open_encoder(f"arcface:{bare}?arch=mobilenet-v2").dim == 512
    with pytest.raises(InputError, match="does not say which network it holds; give arch=mobile"):
        open_encoder(f"arcface:{bare}")
    with pytest.raises(FileFormatError, match="another architecture: 318 weights missing"):
        open_encoder(f"arcface:{bare}?arch=resnet-50")
    with pytest.raises(InputError, match="got arch=vgg, expected one of mobilenet-v2, resnet-50"):
        open_encoder(f"arcface:{bare}?arch=vgg")


def test_two_architectures(folder):
    """A URI that contradicts its file is refused."""
    with pytest.raises(InputError, match="got arch=resnet-50, but the file holds mobilenet-v2"):
        open_encoder(f"arcface:{folder / 'net.safetensors'}?arch=resnet-50")


def test_no_file_of_weights(tmp_path):
    """Other bytes are no weights, whatever the URI says."""
    (tmp_path / "net.safetensors").write_bytes(b"neither")
    with pytest.raises(FileFormatError, match="cannot be read as weights"):
        open_encoder(f"arcface:{tmp_path / 'net.safetensors'}?arch={next(iter(ARCHITECTURES))}")
