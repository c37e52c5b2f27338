"""The way back to the last linear layer, over a graph made of tuples."""

from __future__ import annotations

import numpy as np
import pytest

from intertwine.encoders.encoder import TOLERANCE
from intertwine.encoders.linear_layer import (
    Node,
    Role,
    ancestors,
    as_vectors,
    check_head,
    last_linear,
    leads_on,
    named_linear,
    walk_back,
)
from intertwine.encoders.outputs import choose_output, other_heads, require_last
from intertwine.encoders.scores import softmax
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import InputError

WEIGHTS = {
    "w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "v": np.ones((4, 3), np.float32),
    "b": np.float32([1, 2]),
}
FEATURES = np.float32([[1, 2, 3], [4, 5, 7]])
LOGITS = FEATURES @ WEIGHTS["w"].T + WEIGHTS["b"]
ROLES = {
    "Linear": Role.LINEAR,
    "Add": Role.BIAS,
    "Mean": Role.POOL,
    "Round": Role.ROUNDING,
    "Softmax": Role.SCORE,
    "Reshape": Role.SHAPE,
}


class TupleGraph:
    """A graph of `type: inputs -> output` lines, each node named as its output."""

    where = "net"
    roles = ROLES

    def __init__(self, *lines, outputs="out"):
        self.nodes, self.outputs = [], outputs.split()
        for line in lines:
            op, names = line.split(": ")
            before, after = names.split("-> ")
            self.nodes.append(Node(op, after, tuple(before.split()), (after,), None))

    def name_of(self, tensor):
        """Return the name itself."""
        return tensor

    def maker(self, tensor):
        """Return the node that makes a tensor."""
        return next((node for node in self.nodes if tensor in node.outputs), None)

    def constant(self, tensor):
        """Return a weight."""
        return WEIGHTS.get(tensor)

    def weight(self, node):
        """Return the second input."""
        return self.constant(node.inputs[1])

    def biases(self, node):
        """Return the third input, where there is one."""
        return [self.constant(name) for name in node.inputs[2:]]

    def addend(self, node):
        """Return the first input and the second, where that is a constant."""
        bias = self.constant(node.inputs[1])
        return None if bias is None else (node.inputs[0], bias)

    def follow(self, node, values):
        """Compute a softmax, and rounding by a whole step."""
        if node.op == "Round":
            return np.rint(values), 1.0
        return (softmax(values) if node.op == "Softmax" else values), 0.0


class TestLastLinear:
    def test_bias_inside(self):
        """A layer's own bias is the head's."""
        layer = last_linear(TupleGraph("Linear: x w b -> out"), "out")
        np.testing.assert_array_equal(layer.head.weight, WEIGHTS["w"])
        np.testing.assert_array_equal(layer.head.bias, WEIGHTS["b"])
        assert (layer.features, layer.logits, layer.after, layer.pooled) == ("x", "out", (), False)

    def test_bias_after(self):
        """A constant that is added later is the head's bias, and the logits are behind it."""
        graph = TupleGraph(
            "Linear: x w b -> y",
            "Reshape: y -> r",
            "Add: r b -> z",
            "Mean: z -> m",
            "Softmax: m -> out",
        )
        layer = last_linear(graph, "out")
        np.testing.assert_array_equal(layer.head.bias, 2 * WEIGHTS["b"])
        assert (layer.logits, [node.op for node in layer.after]) == ("z", ["Mean", "Softmax"])
        assert layer.pooled

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["Linear: x w -> y", "Relu: y -> out"], "Relu stands between"),
            (["Linear: x w -> y", "Add: y x -> out"], "Add stands between"),
            (["Linear: x w -> y", "Softmax: y -> s", "Mean: s -> out"], "Softmax stands between"),
            (["Reshape: x -> out"], "no fully connected layer or 1×1 convolution leads to it"),
            (["Reshape: out -> out"], "out is made of itself; damaged"),
            (["Linear: x x -> out"], "out is no plain .* layer=NAME, or give head=none"),
            (["Linear: x v b -> out"], "out is no plain .* constant weights and biases"),
        ],
    )
    def test_none(self, lines, message):
        """What is no head is refused in one line."""
        with pytest.raises(InputError, match=message):
            last_linear(TupleGraph(*lines), "out")

    def test_end(self):
        """The way back ends at a layer, at what it cannot cross, and at an input."""
        graph = TupleGraph("Linear: x w -> y", "Relu: y -> z", "Reshape: z -> out")
        node, after = walk_back(graph, "out")
        assert (node.op, [one.op for one in after]) == ("Relu", ["Reshape"])
        assert walk_back(graph, "y")[0].op == "Linear"
        assert walk_back(graph, "x") == (None, ())


class TestNamed:
    GRAPH = TupleGraph(
        "Linear: x w -> y", "Add: y b -> z", "Relu: z -> out", "Linear: x v -> aside"
    )

    def test_bias(self):
        """The constant that is added to a named layer on the way to the output is its bias."""
        layer = named_linear(self.GRAPH, "y", "out")
        np.testing.assert_array_equal(layer.head.bias, WEIGHTS["b"])
        assert (layer.logits, layer.after) == ("z", ())

    def test_beside(self):
        """A layer that is not on the way to the output is found as well."""
        assert named_linear(self.GRAPH, "aside", "out").head.n_classes == 4

    @pytest.mark.parametrize(
        ("layer", "message"),
        [
            ("nothing", "no layer 'nothing'; its last linear layers are y, aside"),
            ("out", "layer out is a Relu, expected Linear"),
        ],
    )
    def test_wrong(self, layer, message):
        """A layer that is not there or not linear is refused."""
        with pytest.raises(InputError, match=message):
            named_linear(self.GRAPH, layer, "out")


class TestOutputs:
    GRAPH = TupleGraph("Linear: x w -> a", "Relu: a -> r", "Linear: r v -> b", outputs="a b")
    BESIDE = TupleGraph("Linear: x w -> a", "Linear: y v -> b", outputs="a b")

    def test_order(self):
        """What a tensor depends on is listed in the graph's order."""
        assert [node.name for node in ancestors(self.GRAPH, "b")] == ["a", "r", "b"]
        assert leads_on(self.GRAPH, "a", "b")
        assert not leads_on(self.BESIDE, "a", "b")

    def test_choice(self):
        """The first output is meant where none is named."""
        assert (choose_output(self.GRAPH, None), choose_output(self.GRAPH, "b")) == ("a", "b")
        with pytest.raises(InputError, match="no output c; it has a, b"):
            choose_output(self.GRAPH, "c")

    def test_open(self):
        """An output that a layer makes of the first one has to be chosen or ruled out."""
        with pytest.raises(InputError, match="give output=a or output=b"):
            require_last(self.GRAPH, "a", EncoderUri("onnx", "net"))
        require_last(self.GRAPH, "a", EncoderUri("onnx", "net", {"output": "a"}))
        require_last(self.BESIDE, "a", EncoderUri("onnx", "net"))

    def test_note(self):
        """A head beside the first output's is noted, with how many values it makes."""
        layer = last_linear(self.BESIDE, "a")
        (note,) = other_heads(self.BESIDE, layer, "a", EncoderUri("onnx", "net"))
        assert "first output, a (2 values); b (4 values) has another" in note
        assert other_heads(self.BESIDE, layer, "a", EncoderUri("onnx", "n", {"output": "a"})) == ()


class TestCheck:
    GRAPH = TupleGraph("Linear: x w b -> y", "Softmax: y -> out")

    def check(self, graph, output, *, logits=LOGITS, **options):
        """Check the last layer of a graph."""
        check_head(graph, last_linear(graph, "out"), FEATURES, logits, output, **options)

    def test_scores(self):
        """Scores of the head's logits are the output, in whatever shape."""
        self.check(self.GRAPH, softmax(LOGITS))
        self.check(self.GRAPH, softmax(LOGITS).reshape(-1))

    @pytest.mark.parametrize("output", [1 - softmax(LOGITS), LOGITS[:, :1], np.ones((2, 2), int)])
    def test_other_output(self, output):
        """Another output is refused."""
        with pytest.raises(InputError, match="does not make the network's own output"):
            self.check(self.GRAPH, output)

    def test_other_logits(self):
        """Logits that are not the head's are refused, unless what they may differ by is stated."""
        wrong = LOGITS + 10 * TOLERANCE * np.abs(LOGITS).max()
        with pytest.raises(InputError, match="does not make the network's own output"):
            self.check(self.GRAPH, softmax(wrong), logits=wrong)
        self.check(self.GRAPH, softmax(wrong), logits=wrong, slack=1.0)

    def test_limits(self):
        """Logits that their tensor clips are compared as clipped."""
        low, high = np.sort(LOGITS.ravel())[[0, 1]]
        clipped = np.clip(LOGITS, low, high)
        self.check(self.GRAPH, softmax(clipped), logits=clipped, limits=(low, high))

    def test_rounded(self):
        """Rounding may move the output by its step."""
        graph = TupleGraph("Linear: x w b -> y", "Round: y -> out")
        self.check(graph, LOGITS + 0.9)

    def test_not_finite(self):
        """Logits that are not finite are refused with what to do."""
        with pytest.raises(InputError, match="not finite; give the mean=, std= and scale="):
            self.check(self.GRAPH, LOGITS, logits=LOGITS * np.nan)


def test_vectors():
    """Maps become vectors where they are pooled or have one position, and stay maps elsewhere."""
    maps = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(as_vectors(maps, pooled=True, axes=(2, 3)), maps.mean((2, 3)))
    assert as_vectors(maps, pooled=False, axes=(2, 3)) is maps
    one = as_vectors(maps[:, :, :1, :1], pooled=False, axes=(2, 3))
    np.testing.assert_array_equal(one, maps[:, :, 0, 0])
