"""A frozen TensorFlow graph as a graph of nodes and constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.linear_layer import LinearLayer, Node, Role
from intertwine.encoders.scores import SCORES
from intertwine.encoders.tensorflow import import_tensorflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.numerics.arrays import Array

TfhubNode = Node[str]
TfhubLayer = LinearLayer[str]
_SHAPES = (
    "Cast",
    "CheckNumerics",
    "ExpandDims",
    "Identity",
    "PreventGradient",
    "Reshape",
    "Squeeze",
    "StopGradient",
)
_ROLES = {
    **dict.fromkeys(("Conv2D", "MatMul"), Role.LINEAR),
    **dict.fromkeys(("Add", "AddV2", "BiasAdd"), Role.BIAS),
    **dict.fromkeys(("AvgPool", "Mean"), Role.POOL),
    **dict.fromkeys(SCORES, Role.SCORE),
    **dict.fromkeys(_SHAPES, Role.SHAPE),
}


class TfhubGraph:
    """A frozen graph with one output as a `Graph`; the graph is not changed."""

    roles = _ROLES

    def __init__(self, graph_def: Any, output: str, where: str) -> None:
        self.where, self.outputs = where, [output]
        self.nodes = [
            TfhubNode(
                node.op,
                node.name,
                # Inputs that only order the operations come last, with a mark.
                tuple(name for name in node.input if not name.startswith("^")),
                (node.name,),
                node,
            )
            for node in graph_def.node
        ]
        self._by_name = {node.name: node for node in self.nodes}

    def name_of(self, tensor: str) -> str:
        """Return the name itself."""
        return tensor

    def maker(self, tensor: str) -> TfhubNode | None:
        """Return the node that makes a tensor, named as the node or as `NODE:OUTPUT`."""
        return self._by_name.get(tensor.partition(":")[0])

    def constant(self, tensor: str) -> Array | None:
        """Return a tensor's value when it is a constant, else None."""
        node = self.constant_node(tensor)
        if node is None:
            return None
        return np.asarray(import_tensorflow().make_ndarray(node.proto.attr["value"].tensor))

    def constant_node(self, tensor: str) -> TfhubNode | None:
        """Return the node that holds a tensor that is a constant, else None."""
        node = self.maker(tensor)
        while node is not None and node.op == "Identity":
            node = self.maker(node.inputs[0])
        return node if node is not None and node.op == "Const" else None

    def weight(self, node: TfhubNode) -> Array | None:
        """Return the weight (K, d) of a MatMul or a plain 1×1 convolution, else None."""
        stored = self.constant(node.inputs[1])
        return None if stored is None else _READ[node.op](stored, node.proto.attr)

    def biases(self, node: TfhubNode) -> list[Array]:
        """Return nothing: a bias is an operation of its own."""
        del node
        return []

    def addend(self, node: TfhubNode) -> tuple[str, Array] | None:
        """Return what a constant is added to, and the constant, flat."""
        for name, other in (node.inputs[:2], node.inputs[1::-1]):
            bias = self.constant(other)
            if bias is not None:
                return name, bias.reshape(-1)
        return None

    def follow(self, node: TfhubNode, values: Array) -> tuple[Array, float]:
        """Compute a score of logits."""
        return SCORES[node.op](values) if node.op in SCORES else values, 0.0


def _matmul(weight: Array, attributes: Any) -> Array | None:
    if attributes["transpose_a"].b:
        return None
    return weight if attributes["transpose_b"].b else weight.T


def _conv(weight: Array, attributes: Any) -> Array | None:
    plain = (
        weight.shape[:2] == (1, 1)
        and set(attributes["strides"].list.i) == {1}
        and attributes["data_format"].s == b"NHWC"
    )
    return weight[0, 0].T if plain else None


_READ: dict[str, Callable[[Array, Any], Array | None]] = {"Conv2D": _conv, "MatMul": _matmul}
