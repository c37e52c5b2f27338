"""Splitting torch networks at their heads: each kind of head, and what is no head."""

from __future__ import annotations

import numpy as np
import pytest
from tests.encoders.lazy import Lazy, lazy

from intertwine.encoders.torch.head import split_network
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import InputError

torch = lazy("torch")
nn = lazy("torch.nn")


def example():
    """Return the images that networks are split with."""
    return torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def batch():
    """Return other images."""
    return torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def _net():
    """Return the class, once torch is imported."""

    class Net(nn.Module):
        """A convolution, whose maps (n, 8, 4, 4) other layers read in some way of the test's."""

        def __init__(self, way, **layers):
            super().__init__()
            self.conv, self.way = nn.Conv2d(3, 8, 3), way
            for name, layer in layers.items():
                setattr(self, name, layer)

        def maps(self, x):
            """Return (n, 8, 4, 4)."""
            return self.conv(x).relu()

        def tokens(self, x):
            """Return (n, 16, 8)."""
            return self.maps(x).flatten(2).mT

        def forward(self, x):
            """Return what the test wants."""
            return self.way(self, x)

    return Net


Net = Lazy(_net)


def plain(way=lambda net, x: net.fc(net.tokens(x).mean(1))):
    """Return a network with one head over pooled maps."""
    return Net(way, fc=nn.Linear(8, 5))


def conv_then_pool():
    """Return a network whose head is a 1×1 convolution before the pool."""
    return Net(lambda net, x: net.fc(net.maps(x)).mean((2, 3)), fc=nn.Conv2d(8, 5, 1))


def tokens_then_pool():
    """Return a network whose head is applied to every token before the pool."""
    return plain(lambda net, x: net.fc(net.tokens(x)).mean(1))


def no_bias():
    """Return a network whose head has no bias."""
    return Net(lambda net, x: net.fc(net.tokens(x).mean(1)), fc=nn.Linear(8, 5, bias=False))


def two_heads():
    """Return a network whose output is the mean of two heads over different features."""

    def way(net, x):
        return (net.a(net.tokens(x).mean(1)) + net.b(net.tokens(x).amax(1))) / 2

    return Net(way, a=nn.Linear(8, 5), b=nn.Linear(8, 5))


def wide_before():
    """Return a network with a layer before the head that is as wide as the output."""

    def way(net, x):
        return net.fc(net.before(net.tokens(x).mean(1)).relu())

    return Net(way, before=nn.Linear(8, 5), fc=nn.Linear(5, 5))


def softmax():
    """Return a network whose output is no affine map of anything."""
    return plain(lambda net, x: net.fc(net.tokens(x).mean(1)).softmax(1))


def shared():
    """Return a network whose one layer of the output's width runs twice."""
    return plain(lambda net, x: net.fc(net.tokens(x).mean(1)) + net.fc(net.tokens(x).amax(1)))


def several():
    """Return a network with two outputs."""
    return plain(lambda net, x: (net.fc(net.tokens(x).mean(1)), x))


@pytest.fixture(autouse=True)
def _same_weights():
    """Let every test's networks start with the same weights."""
    torch.manual_seed(0)


def split(module, **options):
    """Split a network in eval mode as a URI with such options says."""
    uri = EncoderUri("torch", "net", options)
    return split_network(module.eval(), uri, example())


@pytest.mark.parametrize(
    ("network", "name", "dim"),
    [
        (plain, "fc", 8),
        (conv_then_pool, "fc", 8),
        (tokens_then_pool, "fc", 8),
        (no_bias, "fc", 8),
        (two_heads, "a+b", 16),
        (wide_before, "fc", 5),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_head(network, name, dim):
    """The head of the features is the network's own output, on images it was not split with."""
    module = network().eval()
    with torch.no_grad():
        want = module(batch()).numpy()
        got = split(module)
        features = got.forward(batch()).numpy()
    assert (got.name, features.shape) == (name, (5, dim))
    np.testing.assert_allclose(got.head.logits(features), want, atol=1e-6 * np.abs(want).max())


@pytest.mark.parametrize("network", [softmax, shared], ids=lambda value: value.__name__)
def test_no_head(network):
    """An output that no linear layer makes is refused, with what to do."""
    with pytest.raises(InputError, match=r"torch:net: has no linear head: .* its 5 outputs; give"):
        split(network())


def test_call():
    """What runs the network may take the tensor out of a larger output."""
    uri = EncoderUri("torch", "net", {})
    got = split_network(several().eval(), uri, example(), call=lambda module, x: module(x)[0])
    assert got.name == "fc"
    with pytest.raises(InputError, match="its output is a tuple, expected one tensor"):
        split(several())


def _query():
    """Return the class, once torch is imported."""

    class Query(nn.Module):
        """A pool by attention: a learned query goes into a linear layer as wide as the output."""

        def __init__(self, shape, width=8):
            super().__init__()
            self.latent = nn.Parameter(torch.randn(shape))
            self.q, self.kv = nn.Linear(8, width), nn.Linear(8, width)

        def forward(self, tokens):
            """Return (n, width)."""
            query = self.q(self.latent).reshape(1, 1, -1).expand(len(tokens), -1, -1)
            keys = self.kv(tokens)
            return nn.functional.scaled_dot_product_attention(query, keys, keys)[:, 0]

    return Query


Query = Lazy(_query)


def _normed():
    """Return the class, once torch is imported."""

    class Normed(nn.Linear):
        """A linear layer by its class that divides by the length of what it reads."""

        def forward(self, x):
            """Return cosines."""
            return super().forward(nn.functional.normalize(x, dim=-1))

    return Normed


Normed = Lazy(_normed)


@pytest.mark.parametrize("shape", [(1, 1, 8), (1, 8), (8,)])
def test_learned_query(shape):
    """A parameter that goes into a linear layer as wide as the output is no head, nor a crash."""
    net = Net(lambda net, x: net.pool(net.tokens(x)), pool=Query(shape)).eval()
    with pytest.raises(InputError, match=r"has no linear head.*give head=none"):
        split_network(net, EncoderUri("timm", "x"), example())


def test_head_after_a_learned_query():
    """A head behind such a pool is found."""

    def way(net, x):
        return net.fc(net.pool(net.tokens(x)))

    net = Net(way, pool=Query((1, 1, 8), width=5), fc=nn.Linear(5, 5)).eval()
    split = split_network(net, EncoderUri("timm", "x"), example())
    with torch.inference_mode():
        features, logits = split.forward(batch()), net(batch())
    assert split.name == "fc"
    np.testing.assert_allclose(split.head.logits(features.numpy()), logits.numpy(), atol=1e-5)


def test_layer_called_by_keyword():
    """A layer that is called by keyword is watched as well."""
    net = plain(lambda net, x: net.fc(input=net.tokens(x).mean(1))).eval()
    split = split_network(net, EncoderUri("timm", "x"), example())
    with torch.inference_mode():
        assert split.forward(batch()).shape == (5, 8)


def test_layer_that_does_more():
    """A layer asked for by name that is not its weights alone is no head."""
    net = Net(lambda net, x: net.fc(net.tokens(x).mean(1)).relu(), fc=Normed(8, 5)).eval()
    with pytest.raises(InputError, match="is not its weights and bias alone"):
        split_network(net, EncoderUri("timm", "x", {"layer": "fc"}), example())


def test_layer_whose_rows_are_no_images():
    """A layer asked for by name must run on the images."""
    net = Net(lambda net, x: net.pool(net.tokens(x)), pool=Query((1, 1, 8))).eval()
    with pytest.raises(InputError, match=r"layer pool\.q makes \(1, 1, 8\) of 2 images"):
        split_network(net, EncoderUri("timm", "x", {"layer": "pool.q"}), example())


class TestOptions:
    def test_no_head(self):
        """With head=none the features are the network's output."""
        module = softmax().eval()
        got = split(module, head="none")
        assert (got.name, got.head) == ("output", None)
        torch.testing.assert_close(got.forward(batch()), module(batch()))

    def test_layer_without_head(self):
        """With layer= and head=none the features are what that layer puts out, pooled."""
        module = plain().eval()
        got = split(module, head="none", layer="conv", pool="mean")
        torch.testing.assert_close(got.forward(batch()), module.conv(batch()).mean((2, 3)))
        whole = split(module, head="none", layer="conv").forward(batch())
        assert whole.shape == (5, 8, 4, 4)

    def test_layer_as_head(self):
        """A linear layer that is asked for is taken as the head, whatever follows it."""
        module = softmax().eval()
        got = split(module, layer="fc")
        logits = got.head.logits(got.forward(batch()).detach().numpy())
        want = module(batch()).log().detach().numpy()
        np.testing.assert_allclose(
            logits - logits.mean(1, keepdims=True), want - want.mean(1, keepdims=True), atol=1e-5
        )

    @pytest.mark.parametrize("pool", ["mean", "first"])
    def test_tokens(self, pool):
        """Tokens (n, t, d) are pooled by their mean or as the first of them."""
        module = tokens_then_pool().eval()
        got = split(module, head="none", layer="fc", pool=pool).forward(batch())
        tokens = module.fc(module.tokens(batch()))
        torch.testing.assert_close(got, tokens.mean(1) if pool == "mean" else tokens[:, 0])

    def test_vectors_need_no_pool(self):
        """Vectors are features as they are."""
        module = plain().eval()
        got = split(module, head="none", pool="mean").forward(batch())
        torch.testing.assert_close(got, module(batch()))

    @pytest.mark.parametrize(
        ("network", "options", "message"),
        [
            (plain, {"layer": "fd"}, "has no layer fd; its last ones are conv, fc"),
            (plain, {"layer": "conv"}, "layer conv is not fully connected .* no head; give head="),
            (shared, {"layer": "fc"}, "layer fc does not run just once on an image"),
            (plain, {"pool": "max"}, "got pool=max, expected one of none, mean, first"),
            (plain, {"pool": "mean"}, "got pool=mean, but what its head reads"),
            (plain, {"head": "some"}, "got head=some, expected one of auto, none"),
        ],
        ids=["unknown", "not linear", "runs twice", "pool", "pool of a head", "head"],
    )
    def test_wrong(self, network, options, message):
        """A layer that is not there or cannot be a head, and unknown words, are refused."""
        with pytest.raises(InputError, match=message):
            split(network(), **options)

    def test_impossible_pool(self):
        """The first token of maps, which have none, is refused."""
        got = split(plain(), head="none", layer="conv", pool="first")
        with pytest.raises(InputError, match=r"got pool=first for an output of shape \(5, 8, 4, 4"):
            got.forward(batch())
