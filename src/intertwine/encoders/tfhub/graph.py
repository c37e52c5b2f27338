"""Reading a frozen TensorFlow graph: constants, and the last linear layer before an output."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.scores import SCORES
from intertwine.encoders.tensorflow import import_tensorflow
from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.numerics.arrays import Array

LINEAR = ("Conv2D", "MatMul")
BIASES = ("Add", "AddV2", "BiasAdd")
# What may stand between the last linear layer and the output: shapes, means over positions, and
# functions that keep the order of the classes.
SHAPES = {
    "Cast",
    "CheckNumerics",
    "ExpandDims",
    "Identity",
    "PreventGradient",
    "Reshape",
    "Squeeze",
    "StopGradient",
}
_POOLS = {"AvgPool", "Mean"}


@dataclass(frozen=True)
class LinearLayer:
    """A fully connected layer or 1×1 convolution with constant weights.

    Parameters
    ----------
    name
        Its name.
    features
        Name of the tensor it reads.
    logits
        Name of the tensor that it makes, its bias, shapes and means included.
    weight
        (K, d) float32.
    bias
        (K,) float32.
    pooled
        Whether its output is averaged over positions, so that its input may be too.
    scores
        The functions between its logits and the output, in order.
    """

    name: str
    features: str
    logits: str
    weight: Array
    bias: Array
    pooled: bool
    scores: tuple[str, ...] = ()


class Graph:
    """A frozen graph with the look-ups that walking backwards needs.

    Parameters
    ----------
    graph_def
        The graph; it is not changed.
    where
        What to call it in an error.
    """

    def __init__(self, graph_def: Any, where: str) -> None:
        self.graph_def, self.where = graph_def, where
        self.nodes = {node.name: node for node in graph_def.node}

    def constant(self, tensor: str) -> Array | None:
        """Return a tensor's value when it is a constant, else None."""
        node = self.constant_node(tensor)
        return None if node is None else import_tensorflow().make_ndarray(node.attr["value"].tensor)

    def constant_node(self, tensor: str) -> Any:
        """Return the node that holds a tensor that is a constant, else None."""
        node = self.maker(tensor)
        while node is not None and node.op == "Identity":
            node = self.maker(node.input[0])
        return node if node is not None and node.op == "Const" else None

    def maker(self, tensor: str) -> Any:
        """Return the node that makes a tensor."""
        return self.nodes.get(tensor.partition(":")[0])

    def find(self, layer: str) -> Any:
        """Return the node that has a name.

        Raises
        ------
        InputError
            When there is none.
        """
        if layer not in self.nodes:
            names = [node.name for node in self.graph_def.node if node.op in LINEAR]
            raise InputError(
                f"{self.where}: no layer {layer!r}; "
                f"its last linear layers are {', '.join(names[-3:])}"
            )
        return self.nodes[layer]

    def last_linear(self, output: str) -> LinearLayer | None:
        """Return the last linear layer before an output, or None when that is no classifier.

        Raises
        ------
        InputError
            When the output is one of classes, but no such layer leads to it.
        """
        name, logits, pooled = output, output, False
        biases: list[Array] = []
        scores: list[str] = []
        while (node := self.maker(name)) is not None:
            if node.op in LINEAR:
                layer = self._layer(node, logits, biases, pooled=pooled)
                return replace(layer, scores=tuple(scores))
            name = node.input[0] if node.input else ""
            if node.op in BIASES:
                name, bias = self._before_bias(node)
                biases.append(bias)
            elif node.op in SCORES:
                logits = name
                scores.insert(0, node.op)
            elif node.op not in SHAPES | _POOLS:
                break
            pooled = pooled or node.op in _POOLS
        if logits == output:
            return None
        raise InputError(
            f"{self.where}: no head found: {node.op if node else 'nothing'} stands between its "
            "last linear layer and its output; give head=none when the output itself is the "
            "features, or layer=NAME for the layer to split at"
        )

    def linear(self, layer: str) -> LinearLayer:
        """Return a layer by its name, with a bias added right after it.

        Raises
        ------
        InputError
            When it is not linear in one input, or its weights are no constants.
        """
        node = self.find(layer)
        if node.op not in LINEAR:
            raise InputError(
                f"{self.where}: layer {layer} is a {node.op}, expected {', '.join(LINEAR)}"
            )
        users = [n for n in self.graph_def.node if layer in (i.partition(":")[0] for i in n.input)]
        if len(users) == 1 and users[0].op in BIASES:
            name, bias = self._before_bias(users[0])
            if self.maker(name) is node:
                return self._layer(node, users[0].name, [bias], pooled=False)
        return self._layer(node, layer, [], pooled=False)

    def _before_bias(self, add: Any) -> tuple[str, Array]:
        """Return what a constant is added to, and the constant; nothing when there is none."""
        for name, other in (add.input[:2], reversed(add.input[:2])):
            bias = self.constant(other)
            if bias is not None:
                return str(name), bias.reshape(-1)
        return "", np.zeros(0)

    def _layer(
        self, node: Any, logits: str, biases: Sequence[Array], *, pooled: bool
    ) -> LinearLayer:
        stored = self.constant(node.input[1])
        weight = None if stored is None else _READ[node.op](stored, node.attr)
        if weight is None or any(bias.size not in {1, len(weight)} for bias in biases):
            raise InputError(
                f"{self.where}: layer {node.name} is no plain fully connected layer or 1×1 "
                "convolution with constant weights; choose another with layer=NAME"
            )
        bias = sum(biases, np.zeros(len(weight), np.float32))
        return LinearLayer(
            node.name, node.input[0], logits, weight.astype(np.float32), bias, pooled
        )


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


def as_vectors(features: Array, *, pooled: bool) -> Array:
    """Return features (n, h, w, d) as (n, d) where they are pooled or have one position."""
    if features.ndim == 4 and (pooled or features.shape[1:3] == (1, 1)):
        return np.asarray(features.mean(axis=(1, 2)))
    return features
