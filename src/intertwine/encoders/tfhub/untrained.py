"""The untrained control of a frozen TensorFlow graph: its architecture with fresh weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.linear_layer import Role, ancestors, linear_ops, role
from intertwine.encoders.tensorflow import import_tensorflow
from intertwine.encoders.tfhub.graph import TfhubGraph, TfhubNode
from intertwine.encoders.untrained import BATCH_NORM_START, cannot_redraw, he_normal, require_drawn

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

_NORMALISERS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
# A constant of as many numbers may be of the colours, or of an activation.
_COLOURS = 3


def randomise(graph_def: Any, output: str, seed: int, where: str) -> dict[str, Array]:
    """Draw the weights that lead to an output of a frozen graph afresh, in place; return them by name."""
    graph = TfhubGraph(graph_def, output, where)
    draw = _Draw(graph, np.random.default_rng(seed))
    used = ancestors(graph, output)
    for node in used:
        if node.op in draw.layers:
            draw.layer(node)
        elif role(graph, node) is Role.BIAS:
            draw.bias(node)
        elif node.op in _NORMALISERS:
            for position, value in enumerate(BATCH_NORM_START, start=1):
                draw.fill(node.inputs[position], value)
    require_drawn(draw.new, where)
    for node in used:
        if node.op == "Const" and node.name not in draw.new and _is_trained(graph, node.name):
            raise cannot_redraw(
                where,
                f"the constant {node.name}; use a network of Conv2D, MatMul, BiasAdd and "
                "FusedBatchNorm layers",
            )
    return draw.new


class _Draw:
    """Fresh constants in the place of trained ones, one for each."""

    def __init__(self, graph: TfhubGraph, generator: np.random.Generator) -> None:
        self.graph, self.generator = graph, generator
        self.layers = {*linear_ops(graph), "DepthwiseConv2dNative"}
        self.new: dict[str, Array] = {}

    def layer(self, node: TfhubNode) -> None:
        trained = self.graph.constant(node.inputs[1])
        if trained is not None:
            fan_in = _fan_in(node, trained.shape)
            self._put(node.inputs[1], he_normal(self.generator, trained, fan_in))

    def bias(self, node: TfhubNode) -> None:
        for layer, name in (node.inputs[:2], node.inputs[1::-1]):
            before = self.graph.maker(layer)
            while before is not None and role(self.graph, before) is Role.SHAPE:
                before = self.graph.maker(before.inputs[0])
            if before is not None and before.op in self.layers:
                self.fill(name, 0.0)

    def fill(self, name: str, value: float) -> None:
        trained = self.graph.constant(name)
        if trained is not None:
            self._put(name, np.full_like(trained, value))

    def _put(self, name: str, value: Array) -> None:
        node = self.graph.constant_node(name)
        # Of a constant that two layers share the first draw stays.
        if node is not None and node.name not in self.new:
            self.new[node.name] = value
            tensor = import_tensorflow().make_tensor_proto(value)
            node.proto.attr["value"].tensor.CopyFrom(tensor)


def _is_trained(graph: TfhubGraph, name: str) -> bool:
    value = graph.constant(name)
    return value is not None and value.dtype.kind == "f" and value.size > _COLOURS


def _fan_in(node: TfhubNode, shape: tuple[int, ...]) -> int:
    if node.op == "Conv2D":  # (*kernel, in, out)
        return int(np.prod(shape[:3]))
    if node.op == "MatMul":
        return int(shape[1] if node.proto.attr["transpose_b"].b else shape[0])
    return int(np.prod(shape[:2]))  # (*kernel, in, multiplier)
