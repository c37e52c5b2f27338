"""Watching torch networks run, and stopping them on the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.encoders.lazy import Lazy, lazy

from intertwine.encoders.torch.watch import RunUntil, is_linear, over_positions, watch
from intertwine.errors import InputError

torch = lazy("torch")
nn = lazy("torch.nn")


def batch():
    """Return two vectors."""
    return torch.randn(2, 3, generator=torch.Generator().manual_seed(0))


def _net():
    """Return the class, once torch is imported."""

    class Net(nn.Module):
        """Three layers, the second of which runs twice, and a count of how far it came."""

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.first, self.twice, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)
            self.finished = 0

        def forward(self, x):
            """Return (n, 2)."""
            x = self.last(self.twice(self.twice(self.first(x))))
            self.finished += 1
            return x

    return Net


Net = Lazy(_net)


def call(module, batch):
    """Run a network."""
    return module(batch)


@pytest.fixture
def net():
    """Return a network in eval mode."""
    return Net().eval()


@pytest.mark.parametrize(
    ("layer", "linear"),
    [
        pytest.param(lambda: nn.Linear(3, 2), True, id="fully connected"),
        pytest.param(lambda: nn.Conv2d(3, 2, 1), True, id="1x1"),
        pytest.param(lambda: nn.Conv2d(3, 2, 3), False, id="3x3"),
        pytest.param(lambda: nn.Conv2d(3, 2, 1, stride=2), False, id="strided"),
        pytest.param(lambda: nn.Conv2d(3, 2, 1, padding=1), False, id="padded"),
        pytest.param(lambda: nn.Conv2d(4, 2, 1, groups=2), False, id="grouped"),
        pytest.param(lambda: nn.Conv1d(3, 2, 1), False, id="of sequences"),
        pytest.param(lambda: nn.Dropout(0.5), False, id="no weights"),
    ],
)
def test_is_linear(layer, linear):
    """Only fully connected layers and plain 1×1 convolutions are affine maps of channels."""
    assert is_linear(layer()) is linear


class TestWatch:
    def test_ran_once(self, net):
        """What a layer reads and puts out is told, in the order of running, if it ran once."""
        layers = {"last": net.last, "twice": net.twice, "first": net.first}
        output, ran = watch(layers, lambda: net(batch()), "net")
        assert list(ran) == ["first", "last"]
        torch.testing.assert_close(ran["first"].input, batch())
        torch.testing.assert_close(ran["last"].output, output)
        with torch.no_grad():
            torch.testing.assert_close(net.last(ran["last"].input), output)

    def test_leaves_no_hooks(self, net):
        """Nothing stays behind on the layers, not even when the network fails."""
        layers = {"first": net.first}
        watch(layers, lambda: net(batch()), "net")
        with pytest.raises(InputError, match=r"^encoder n: torch cannot run it"):
            watch(layers, lambda: net(batch()[:, :2]), "encoder n")
        assert not net.first._forward_hooks


class TestOverPositions:
    def test_vectors(self):
        """Vectors are left alone."""
        vectors = batch()
        assert over_positions(nn.Linear(3, 2), vectors) is vectors

    def test_tokens(self):
        """A fully connected layer's channels are last, whatever stands between."""
        value = torch.arange(24.0).reshape(2, 2, 2, 3)
        got = over_positions(nn.Linear(3, 2), value)
        torch.testing.assert_close(got, value.reshape(2, 4, 3).mean(1))

    def test_maps(self):
        """A convolution's channels come before height and width."""
        value = torch.arange(24.0).reshape(2, 3, 2, 2)
        got = over_positions(nn.Conv2d(3, 2, 1), value)
        torch.testing.assert_close(got, value.reshape(2, 3, 4).mean(2))


class TestRunUntil:
    def test_inputs(self, net):
        """What the last layer reads is returned, and the network stops before it."""
        want = net.twice(net.twice(net.first(batch())))
        (got,) = RunUntil(net, [net.last], call, inputs=True)(batch())
        torch.testing.assert_close(got, want)
        assert net.finished == 0

    def test_outputs(self, net):
        """What a layer puts out is returned when that is wanted."""
        (got,) = RunUntil(net, [net.first], call, inputs=False)(batch())
        torch.testing.assert_close(got, net.first(batch()))

    def test_several(self, net):
        """Several layers give their values in the order in which they run."""
        first, last = RunUntil(net, [net.first, net.last], call, inputs=True)(batch())
        assert (first.shape[1], last.shape[1]) == (3, 4)

    def test_side_by_side(self, net):
        """Batches that run at once in several threads do not meet."""
        until = RunUntil(net, [net.last], call, inputs=True)
        batches = [torch.full((1, 3), float(number)) for number in range(50)]
        with ThreadPoolExecutor(4) as pool:
            together = [values[0] for values in pool.map(until, batches)]
        for got, batch in zip(together, batches, strict=True):
            torch.testing.assert_close(got, until(batch)[0])

    def test_network_itself(self, net):
        """Called by itself, the network still runs to its end."""
        want = net(batch())
        until = RunUntil(net, [net.first], call, inputs=True)
        until(batch())
        torch.testing.assert_close(net(batch()), want)

    def test_not_reached(self, net):
        """A layer that does not run is an error, not an empty answer."""
        unused = nn.Linear(3, 2)
        with pytest.raises(RuntimeError, match="the layers it was to stop at did not run"):
            RunUntil(net, [unused], call, inputs=True)(batch())
