"""The untrained control of an ONNX model: its own architecture with fresh weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import numpy_helper

from intertwine.encoders.linear_layer import linear_ops
from intertwine.encoders.onnx.graph import OnnxGraph
from intertwine.encoders.untrained import BATCH_NORM_START, cannot_redraw, he_normal, require_drawn

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.numerics.arrays import Array

# Normalising layers at their usual start: inputs 1… are these constants.
_NORMALISERS = {
    "BatchNormalization": BATCH_NORM_START,
    "InstanceNormalization": (1.0, 0.0),
    "LayerNormalization": (1.0, 0.0),
    "GroupNormalization": (1.0, 0.0),
    "PRelu": (0.25,),
}
_UNSUPPORTED = ("QLinear", "ConvInteger", "MatMulInteger", "LSTM", "GRU", "RNN")


def randomise(model: Any, seed: int, where: str, folder: Path) -> dict[str, Array]:
    """Draw the weights of every layer of a model afresh, in place, and return them by name.

    Constants of other layers stay as they are.
    """
    graph = OnnxGraph(model, where, folder)
    draw = _Draw(graph, np.random.default_rng(seed))
    layers = {*linear_ops(graph), "ConvTranspose"}
    for node in model.graph.node:
        if node.op_type.startswith(_UNSUPPORTED):
            raise cannot_redraw(
                where,
                f"a layer of type {node.op_type}; use a float network of Conv, Gemm and MatMul layers",
            )
        if node.op_type in layers:
            draw.layer(node)
        for position, value in enumerate(_NORMALISERS.get(node.op_type, ()), start=1):
            draw.fill(node, position, value)
    require_drawn(draw.new, where)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in draw.new.items()
    )
    return draw.new


class _Draw:
    """Fresh tensors that take the place of trained ones, one for each trained tensor."""

    def __init__(self, graph: OnnxGraph, generator: np.random.Generator) -> None:
        self.graph, self.generator = graph, generator
        self.new: dict[str, Array] = {}

    def layer(self, node: Any) -> None:
        trained = self.graph.constant(node.input[1])
        if trained is None:
            return
        fresh = _fresh(node.input[1])
        # A tensor that two layers share stays shared.
        if fresh not in self.new:
            self.new[fresh] = he_normal(self.generator, trained, _fan_in(node, trained.shape))
        node.input[1] = fresh
        if len(node.input) > 2 and node.input[2]:
            self.fill(node, 2, 0.0)
        for user in self.graph.model.graph.node:
            if user.op_type == "Add" and node.output[0] in user.input:
                position = 1 - list(user.input).index(node.output[0])
                added = self.graph.constant(user.input[position])
                # A single number is part of an activation, such as the 3 of a hard sigmoid.
                if added is not None and added.size > 1:
                    self.fill(user, position, 0.0)

    def fill(self, node: Any, position: int, value: float) -> None:
        if position >= len(node.input) or not node.input[position]:
            return
        name = node.input[position]
        trained = self.graph.constant(name)
        if trained is not None:
            fresh = f"{_fresh(name)}-{value:g}"
            self.new[fresh] = np.full_like(trained, value)
            node.input[position] = fresh


def _fresh(name: str) -> str:
    return f"{name}:untrained"


def _fan_in(node: Any, shape: tuple[int, ...]) -> int:
    if node.op_type == "Conv":  # (out, in / groups, *kernel)
        return int(np.prod(shape[1:]))
    if node.op_type == "ConvTranspose":  # (in, out / groups, *kernel)
        return int(shape[0] * np.prod(shape[2:]))
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return int(shape[-1] if transposed else shape[-2] if len(shape) > 1 else shape[0])
