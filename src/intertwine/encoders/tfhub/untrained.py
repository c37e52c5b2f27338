"""The untrained control of a frozen TensorFlow graph: its architecture with fresh weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.tensorflow import import_tensorflow
from intertwine.encoders.tfhub.graph import BIASES, LINEAR, SHAPES, Graph
from intertwine.errors import InputError

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

_KERNELS = (*LINEAR, "DepthwiseConv2dNative")
_NORMALISERS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
# A normaliser's inputs 1… at their usual start: scale, shift, mean, variance.
_START = (1.0, 0.0, 0.0, 1.0)
# A constant of as many numbers may be of the colours, or of an activation.
_COLOURS = 3


def randomise(graph_def: Any, output: str, seed: int, where: str) -> dict[str, Array]:
    """Give every layer of a frozen graph fresh weights, in place.

    Convolutions and fully connected layers, the head included, are drawn He-normal: variance
    2 / fan-in (He, Zhang, Ren & Sun, *Delving deep into rectifiers*, 2015). Their biases become
    zero, fused batch normalisations their usual start.

    Parameters
    ----------
    graph_def
        The graph to change.
    output
        The tensor whose weights are meant.
    seed
        Seed of the draw; the same seed gives the same weights.
    where
        What to call it in an error.

    Returns
    -------
    weights
        The new tensors by name.

    Raises
    ------
    InputError
        When it has weights that cannot be drawn anew, or none at all.
    """
    graph = Graph(graph_def, where)
    draw = _Draw(graph, np.random.default_rng(seed))
    used = _ancestors(graph, output)
    for node in (node for node in graph_def.node if node.name in used):
        if node.op in _KERNELS:
            draw.kernel(node)
        elif node.op in BIASES:
            draw.bias(node)
        elif node.op in _NORMALISERS:
            for position, value in enumerate(_START, start=1):
                draw.fill(node.input[position], value)
    if not draw.new:
        raise InputError(f"{where}: weights=random found no layer with constant weights to redraw")
    for node in (node for node in graph_def.node if node.name in used):
        if node.op == "Const" and node.name not in draw.new and _is_trained(graph, node.name):
            raise InputError(
                f"{where}: weights=random cannot redraw the constant {node.name}; use a network "
                "of Conv2D, MatMul, BiasAdd and FusedBatchNorm layers"
            )
    return draw.new


class _Draw:
    """Fresh constants in the place of trained ones, one for each."""

    def __init__(self, graph: Graph, generator: np.random.Generator) -> None:
        self.graph, self.generator = graph, generator
        self.new: dict[str, Array] = {}

    def kernel(self, node: Any) -> None:
        trained = self.graph.constant(node.input[1])
        if trained is not None:
            scale = np.sqrt(2 / _fan_in(node, trained.shape))
            drawn = self.generator.standard_normal(trained.shape) * scale
            self._put(node.input[1], drawn.astype(trained.dtype))

    def bias(self, node: Any) -> None:
        for layer, name in (node.input[:2], reversed(node.input[:2])):
            before = self.graph.maker(layer)
            while before.op in SHAPES:
                before = self.graph.maker(before.input[0])
            if before.op in _KERNELS:
                self.fill(name, 0.0)

    def fill(self, name: str, value: float) -> None:
        trained = self.graph.constant(name)
        if trained is not None:
            self._put(name, np.full_like(trained, value))

    def _put(self, name: str, value: Array) -> None:
        node = self.graph.constant_node(name)
        # A constant that two layers share is drawn once.
        if node.name not in self.new:
            self.new[node.name] = value
            node.attr["value"].tensor.CopyFrom(import_tensorflow().make_tensor_proto(value))


def _is_trained(graph: Graph, name: str) -> bool:
    value = graph.constant(name)
    return value is not None and value.dtype.kind == "f" and value.size > _COLOURS


def _ancestors(graph: Graph, tensor: str) -> set[str]:
    """Return the names of the nodes that a tensor comes from."""
    found: set[str] = set()
    stack = [tensor]
    while stack:
        node = graph.maker(stack.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            stack += [name for name in node.input if not name.startswith("^")]
    return found


def _fan_in(node: Any, shape: tuple[int, ...]) -> int:
    if node.op == "Conv2D":  # (*kernel, in, out)
        return int(np.prod(shape[:3]))
    if node.op == "MatMul":
        return int(shape[1] if node.attr["transpose_b"].b else shape[0])
    return int(np.prod(shape[:2]))  # (*kernel, in, multiplier)
