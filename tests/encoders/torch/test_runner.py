"""What the torch schemes share: running modules as encoders."""

from __future__ import annotations

import numpy as np
import pytest
from tests.encoders.lazy import Lazy, lazy

from intertwine.encoders.execution import Execution
from intertwine.encoders.torch.encoder import open_weights, preprocessing
from intertwine.encoders.torch.runner import TorchRunner
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import InputError

torch = lazy("torch")
save_file = lazy("safetensors.torch", "save_file")
nn = lazy("torch.nn")

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


def _net():
    """Return the class, once torch is imported."""

    class Net(nn.Module):
        """A small network whose batch normalisation and dropout show the mode it runs in."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 3)
            self.bn = nn.BatchNorm2d(6)
            self.dropout = nn.Dropout()

        def forward(self, x):
            """Return (n, 6)."""
            return self.dropout(self.bn(self.conv(x))).mean((2, 3))

    return Net


Net = Lazy(_net)


@pytest.fixture(scope="module")
def state():
    """Return weights for the network."""
    torch.manual_seed(0)
    state = Net().state_dict()
    state["bn.running_mean"] = torch.randn(6)
    return state


@pytest.fixture(scope="module", params=["net.safetensors", "net.pt"])
def file(request, state, tmp_path_factory):
    """Return a file of these weights, of either kind."""
    path = tmp_path_factory.mktemp("weights") / request.param
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


def opened(file, **options):
    """Open the network of a file."""
    uri = EncoderUri("torch", str(file), {"crop": "8"} | options)
    defaults = {"mean": "9", "face": "box:2"}
    return open_weights(uri, Net, Execution(), defaults=defaults, dropped=("logits.",))


class TestOpen:
    def test_features(self, file, state):
        """Features are the module's own in eval mode, of the preprocessed images."""
        net = Net()
        net.load_state_dict(state)
        batch = torch.tensor(IMAGES.astype(np.float32) - 9).permute(0, 3, 1, 2)
        with torch.no_grad():
            want = net.eval()(batch)
        np.testing.assert_allclose(opened(file).encode(IMAGES), want, atol=1e-4)

    def test_repeatable(self, file):
        """Two extractions are equal to the bit, and the module stays in eval mode."""
        encoder = opened(file)
        first, again = encoder.encode(IMAGES), encoder.encode(IMAGES)
        np.testing.assert_array_equal(first, again)
        np.testing.assert_array_equal(first, opened(file).encode(IMAGES))
        assert not any(part.training for part in encoder.run.module.modules())

    def test_facts(self, file):
        """Dimension, parameters and the absent head are those of the network."""
        encoder = opened(file)
        assert (encoder.dim, encoder.parameters, encoder.head) == (6, 6 * 27 + 6 + 12, None)
        assert opened(file).fingerprint == encoder.fingerprint
        assert opened(file, mean="8").fingerprint != encoder.fingerprint

    def test_threads(self, file):
        """Every worker has one thread, and the rest of the process keeps its own."""
        before, seen = torch.get_num_threads(), []
        uri = EncoderUri("torch", str(file), {"crop": "8"})

        class Watched(type(Net())):
            def forward(self, x):
                seen.append((torch.get_num_threads(), len(x)))
                return super().forward(x)

        encoder = open_weights(uri, Watched, Execution(threads=2), defaults={})
        del seen[:]
        encoder.encode(np.tile(IMAGES, (4, 1, 1, 1)))
        assert sorted(seen) == [(1, 4), (1, 8), (1, 8)]
        assert torch.get_num_threads() == before

    def test_workers_change_nothing(self, file):
        """The features are the same to the bit whatever the number of workers."""
        images = np.random.default_rng(1).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
        uri = EncoderUri("torch", str(file), {"crop": "8"})
        one, three = (
            open_weights(uri, Net, Execution(n), defaults={}).encode(images) for n in (1, 3)
        )
        np.testing.assert_array_equal(one, three)


class TestPreprocessing:
    def test_options_go_before_defaults(self):
        """An option of the URI replaces the default of its scheme, and only that."""
        uri = EncoderUri("torch", "n.pt", {"crop": "9", "mean": "1"})
        got = preprocessing(uri, defaults={"crop": "8", "mean": "2", "std": "3"})
        assert (got.size, got.mean, got.std) == ((9, 9), (1, 1, 1), (3, 3, 3))
        assert got.layout == "nchw"

    def test_face(self):
        """The default crop of a face yields to face=none, and to resize."""
        defaults = {"crop": "8", "face": "box:2"}

        def face(**options):
            return preprocessing(EncoderUri("torch", "n.pt", options), defaults=defaults).face

        assert face() == "box:2"
        assert face(face="none") is None
        assert face(resize="centre") is None


class TestRunner:
    def test_cannot_run(self):
        """A network that cannot take such images says why."""
        with pytest.raises(InputError, match="encoder n: torch cannot run it"):
            TorchRunner(Net(), where="encoder n", execution=Execution())(
                np.zeros((1, 3, 2, 2), np.float32)
            )

    def test_no_tensor(self):
        """A network with several outputs is refused."""

        class Two(nn.Module):
            def forward(self, x):
                return x, x

        with pytest.raises(InputError, match="its output is a tuple, expected one tensor"):
            TorchRunner(Two(), where="n", execution=Execution())(np.zeros((1, 3, 2, 2), np.float32))
