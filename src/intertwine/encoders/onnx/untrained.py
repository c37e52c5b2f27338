"""The untrained control: a network's own architecture with fresh weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import numpy_helper

from intertwine.encoders.onnx.graph import LINEAR, Graph
from intertwine.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.numerics.arrays import Array

# Normalising layers at their usual start: inputs 1… are these constants.
_NORMALISERS = {
    "BatchNormalization": (1.0, 0.0, 0.0, 1.0),
    "InstanceNormalization": (1.0, 0.0),
    "LayerNormalization": (1.0, 0.0),
    "GroupNormalization": (1.0, 0.0),
    "PRelu": (0.25,),
}
_UNSUPPORTED = ("QLinear", "ConvInteger", "MatMulInteger", "LSTM", "GRU", "RNN")


def randomise(model: Any, seed: int, where: str, folder: Path) -> dict[str, Array]:
    """Give every layer of a model fresh weights, in place.

    Convolutions and fully connected layers, the head included, are drawn He-normal: variance
    2 / fan-in (He, Zhang, Ren & Sun, *Delving deep into rectifiers*, 2015). Their biases become
    zero, normalising layers their usual start. Constants of other layers stay as they are.

    Parameters
    ----------
    model
        The model to change.
    seed
        Seed of the draw; the same seed gives the same weights.
    where
        What to call the model in an error.
    folder
        Where weights lie that are stored beside its file.

    Returns
    -------
    weights
        The new tensors by name.

    Raises
    ------
    InputError
        When the model has layers whose weights cannot be drawn anew, or none at all.
    """
    graph = Graph(model, where, folder)
    draw = _Draw(graph, np.random.default_rng(seed))
    for node in graph.nodes:
        if node.op_type.startswith(_UNSUPPORTED):
            raise InputError(
                f"{where}: weights=random cannot redraw a layer of type {node.op_type}; "
                "use a float network of Conv, Gemm and MatMul layers"
            )
        if node.op_type in {*LINEAR, "ConvTranspose"}:
            draw.layer(node)
        for position, value in enumerate(_NORMALISERS.get(node.op_type, ()), start=1):
            draw.fill(node, position, value)
    if not draw.new:
        raise InputError(f"{where}: weights=random found no layer with constant weights to redraw")
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in draw.new.items()
    )
    return draw.new


class _Draw:
    """Fresh tensors that take the place of trained ones, one for each trained tensor."""

    def __init__(self, graph: Graph, generator: np.random.Generator) -> None:
        self.graph, self.generator = graph, generator
        self.new: dict[str, Array] = {}

    def layer(self, node: Any) -> None:
        trained = self.graph.constant(node.input[1])
        if trained is None:
            return
        # A tensor that two layers share stays shared.
        if _fresh(node.input[1]) not in self.new:
            scale = np.sqrt(2 / max(1, _fan_in(node, trained.shape)))
            drawn = self.generator.standard_normal(trained.shape) * scale
            self.new[_fresh(node.input[1])] = drawn.astype(trained.dtype)
        node.input[1] = _fresh(node.input[1])
        if len(node.input) > 2 and node.input[2]:
            self.fill(node, 2, 0.0)
        for user in self.graph.nodes:
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
