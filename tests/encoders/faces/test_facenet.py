"""FaceNet encoders: the architecture against the same mathematics written out."""

from __future__ import annotations

import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.registry import open_encoder
from intertwine.errors import FileFormatError, InputError

torch = lazy("torch")
functional = lazy("torch.nn.functional")
InceptionResnetV1 = lazy("intertwine.encoders.faces.nets.inception_resnet_v1", "InceptionResnetV1")

IMAGES = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)


class Plain:
    """The network as functions of named weights, straight from the paper's figures."""

    def __init__(self, state):
        self.state = {name: value.float() for name, value in state.items()}

    def conv(self, x, name, stride=1, padding=0):
        """Return ReLU of normalised convolution, the normalisation written out."""
        s = self.state
        y = functional.conv2d(x, s[f"{name}.conv.weight"], None, stride, padding)
        mean, var, weight, bias = (
            s[f"{name}.bn.{kind}"][:, None, None]
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.relu((y - mean) / torch.sqrt(var + 0.001) * weight + bias)

    def chain(self, x, name, *kernels):
        """Return convolutions one after the other; `same` padding unless a stride is given."""
        for index, kernel in enumerate(kernels):
            stride = 2 if kernel == "3/2" else 1
            high, wide = (3, 3) if kernel == "3/2" else kernel
            padding = 0 if stride == 2 else (high // 2, wide // 2)
            part = f"{name}.{index}" if len(kernels) > 1 else name
            x = self.conv(x, part, stride, padding)
        return x

    def residual(self, x, name, chains, scale):
        """Return x and the scaled projection of the chains."""
        parts = [self.chain(x, f"{name}.branch{i}", *c) for i, c in enumerate(chains)]
        weight, bias = self.state[f"{name}.conv2d.weight"], self.state[f"{name}.conv2d.bias"]
        return x + scale * functional.conv2d(torch.cat(parts, 1), weight, bias)

    def reduction(self, x, name, chains):
        """Return the chains of stride 2 beside the pooling."""
        parts = [self.chain(x, f"{name}.branch{i}", *c) for i, c in enumerate(chains)]
        return torch.cat([*parts, functional.max_pool2d(x, 3, 2)], 1)

    def __call__(self, x):
        """Return features (n, 512)."""
        one, three = (1, 1), (3, 3)
        x = self.conv(x, "conv2d_1a", 2)
        x = self.conv(self.conv(x, "conv2d_2a"), "conv2d_2b", 1, 1)
        x = self.conv(functional.max_pool2d(x, 3, 2), "conv2d_3b")
        x = self.conv(self.conv(x, "conv2d_4a"), "conv2d_4b", 2)
        block = [[one], [one, three], [one, three, three]]
        for i in range(5):
            x = functional.relu(self.residual(x, f"repeat_1.{i}", block, 0.17))
        x = self.reduction(x, "mixed_6a", [["3/2"], [one, three, "3/2"]])
        for i in range(10):
            chains = [[one], [one, (1, 7), (7, 1)]]
            x = functional.relu(self.residual(x, f"repeat_2.{i}", chains, 0.10))
        x = self.reduction(x, "mixed_7a", [[one, "3/2"], [one, "3/2"], [one, three, "3/2"]])
        chains = [[one], [one, (1, 3), (3, 1)]]
        for i in range(5):
            x = functional.relu(self.residual(x, f"repeat_3.{i}", chains, 0.20))
        x = self.residual(x, "block8", chains, 1.0).mean((2, 3))
        s = self.state
        x = x @ s["last_linear.weight"].T - s["last_bn.running_mean"]
        x = x / torch.sqrt(s["last_bn.running_var"] + 0.001)
        return x * s["last_bn.weight"] + s["last_bn.bias"]


@pytest.fixture(scope="module")
def state():
    """Return random weights and statistics of an untrained network."""
    torch.manual_seed(0)
    state = InceptionResnetV1().state_dict()
    for name, value in state.items():
        if name.endswith(("running_mean", "bn.bias")):
            value.normal_(0, 0.1)
        elif name.endswith(("running_var", "bn.weight")):
            value.uniform_(0.5, 1.5)
    return state


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    """Return a file of them, with a classifier."""
    path = tmp_path_factory.mktemp("facenet") / "net.pt"
    torch.save({**state, "logits.weight": torch.zeros(3, 512), "logits.bias": torch.zeros(3)}, path)
    return path


def test_features(file, state):
    """The network is the published one, of (pixel − 127.5) / 128, classifier left out."""
    encoder = open_encoder(f"facenet:{file}?crop=96", threads=1)
    batch = torch.tensor((IMAGES.astype(np.float32) - 127.5) / 128).permute(0, 3, 1, 2)
    want = Plain(state)(batch).numpy()
    np.testing.assert_allclose(encoder.encode(IMAGES), want, atol=1e-4 * np.abs(want).max())


@pytest.mark.slow
def test_facts(file):
    """It is 512-d, has no head, 23,482,624 parameters, and crops a face with 32 pixels of margin."""
    encoder = open_encoder(f"facenet:{file}", threads=1)
    assert (encoder.dim, encoder.head, encoder.parameters) == (512, None, 23_482_624)
    assert encoder.preprocessing.size == (160, 160)
    assert encoder.preprocessing.face == "box:32"
    assert open_encoder(f"facenet:{file}?face=none", threads=1).preprocessing.face is None


@pytest.mark.slow
def test_too_small(file):
    """An input of which nothing is left on the way is refused."""
    with pytest.raises(InputError, match="torch cannot run it"):
        open_encoder(f"facenet:{file}?crop=32&face=none")


@pytest.mark.slow
def test_another_network(tmp_path):
    """Weights of another network are no FaceNet."""
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "net.pt")
    with pytest.raises(FileFormatError, match=r"net.pt: holds another architecture: \d+ weights"):
        open_encoder(f"facenet:{tmp_path / 'net.pt'}")


@pytest.mark.quick("vgg2")
@pytest.mark.parametrize("name", ["casia", "vgg2"])
def test_published_networks(name, shared_data):
    """The published files open with every weight used, and give features of an ordinary norm."""
    path = shared_data / "models" / f"facenet_inception_resnet_v1_{name}.safetensors"
    encoder = open_encoder(f"facenet:{path}?crop=96", threads=1)
    assert encoder.dim == 512
    assert 1 < np.linalg.norm(encoder.encode(IMAGES)) < 100
