"""Reading an ONNX graph: constants, and the last linear layer before the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intertwine.arrays import Array

LINEAR = ("Gemm", "MatMul", "Conv")
# What may stand between the last linear layer and the output: shapes, rounding, and functions
# that keep the order of the classes.
_HARMLESS = {
    "Cast",
    "DequantizeLinear",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "Identity",
    "LogSoftmax",
    "QuantizeLinear",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Squeeze",
    "Unsqueeze",
}


@dataclass(frozen=True)
class LinearLayer:
    """A fully connected layer or 1×1 convolution with constant weights.

    Parameters
    ----------
    features
        Name of the tensor it reads.
    weight
        (K, d) float32.
    bias
        (K,) float32.
    pooled
        Whether its output is averaged over positions, so that its input may be too.
    """

    features: str
    weight: Array
    bias: Array
    pooled: bool


class Graph:
    """An ONNX graph with the look-ups that walking backwards needs.

    Parameters
    ----------
    model
        The model; it is not changed.
    where
        What to call it in an error.
    """

    def __init__(self, model: Any, where: str) -> None:
        self.model, self.where = model, where
        self.nodes = list(model.graph.node)
        self.producers = {name: node for node in self.nodes for name in node.output if name}
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}

    @property
    def inputs(self) -> list[Any]:
        """The graph's inputs that are no weights."""
        return [value for value in self.model.graph.input if value.name not in self.initializers]

    def constant(self, name: str) -> Array | None:
        """Return a tensor's value when it depends on weights only, else None."""
        if name in self.initializers:
            return np.asarray(numpy_helper.to_array(self.initializers[name]))
        nodes, leaves = self._ancestors(name)
        if not nodes or not leaves <= self.initializers.keys():
            return None
        graph = helper.make_graph(
            nodes,
            "constant",
            [],
            [onnx.ValueInfoProto(name=name)],
            [self.initializers[leaf] for leaf in sorted(leaves)],
        )
        model = helper.make_model(
            graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version
        )
        return np.asarray(session(model.SerializeToString(), threads=1).run(None, {})[0])

    def _ancestors(self, name: str) -> tuple[list[Any], set[str]]:
        """Return the nodes that make a tensor, in graph order, and the leaves they start from."""
        found, leaves, stack = set(), set(), [name]
        while stack:
            tensor = stack.pop()
            node = self.producers.get(tensor)
            if node is None:
                leaves.add(tensor)
            elif id(node) not in found:
                found.add(id(node))
                stack += [value for value in node.input if value]
        return [node for node in self.nodes if id(node) in found], leaves

    def find(self, layer: str) -> Any:
        """Return the node that has a name, or makes a tensor of that name.

        Raises
        ------
        InputError
            When there is none.
        """
        for node in self.nodes:
            if layer == node.name or layer in node.output:
                return node
        names = [node.name or node.output[0] for node in self.nodes if node.op_type in LINEAR]
        raise InputError(
            f"{self.where}: no layer {layer!r}; its last linear layers are {', '.join(names[-3:])}"
        )

    def last_linear(self) -> LinearLayer:
        """Return the last linear layer before the first output.

        Raises
        ------
        InputError
            When something that is not harmless stands between it and the output, or there is no
            such layer.
        """
        name, pooled = self.model.graph.output[0].name, False
        while True:
            node = self.producers.get(name)
            if node is None:
                raise self._no_head("no fully connected layer or 1×1 convolution leads to it")
            if node.op_type in LINEAR:
                return self.linear(node, pooled=pooled)
            name = node.input[0]
            if node.op_type == "Add":
                name = self._before_bias(node)
            elif node.op_type not in _HARMLESS:
                raise self._no_head(
                    f"{node.op_type} stands between its last linear layer and its output"
                )
            pooled = pooled or node.op_type == "GlobalAveragePool"

    def _before_bias(self, add: Any) -> str:
        for name, other in (add.input, reversed(add.input)):
            node = self.producers.get(name)
            if node is not None and node.op_type in LINEAR and self.constant(other) is not None:
                return str(name)
        raise self._no_head("Add stands between its last linear layer and its output")

    def _no_head(self, why: str) -> InputError:
        return InputError(
            f"{self.where}: no head found: {why}; give head=none when the output itself is the "
            "features, or layer=NAME for the layer to split at"
        )

    def linear(self, node: Any, *, pooled: bool = False) -> LinearLayer:
        """Return a node as a linear layer, with a bias added right after it.

        Raises
        ------
        InputError
            When it is not linear in one input, or its weights are no constants.
        """
        name = node.name or node.output[0]
        if node.op_type not in LINEAR:
            raise InputError(
                f"{self.where}: layer {name} is a {node.op_type}, expected {', '.join(LINEAR)}"
            )
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        read = {"Gemm": _gemm, "MatMul": _matmul, "Conv": _conv}[node.op_type]
        stored = self.constant(node.input[1])
        weight = None if stored is None else read(stored, attributes)
        biases = list(self._biases(node, attributes.get("beta", 1.0)))
        if weight is None or any(bias.size not in {1, len(weight)} for bias in biases):
            raise InputError(
                f"{self.where}: layer {name} is no plain fully connected layer or 1×1 convolution "
                "with constant weights; choose another with layer=NAME"
            )
        bias = sum(biases, np.zeros(len(weight), np.float32))
        return LinearLayer(node.input[0], weight.astype(np.float32), bias, pooled)

    def _biases(self, node: Any, beta: float) -> Iterator[Array]:
        """Yield the layer's own bias and what is added right after it, flat; empty if unknown."""
        if len(node.input) > 2 and node.input[2]:
            own = self.constant(node.input[2])
            yield np.zeros(0) if own is None else np.float32(beta) * own.reshape(-1)
        users = [user for user in self.nodes if node.output[0] in user.input]
        if len(users) == 1 and users[0].op_type == "Add":
            others = [name for name in users[0].input if name != node.output[0]]
            added = self.constant(others[0]) if others else None
            if added is not None:
                yield added.reshape(-1)


def _gemm(weight: Array, attributes: dict[str, Any]) -> Array | None:
    if attributes.get("transA", 0):
        return None
    weight = weight if attributes.get("transB", 0) else weight.T
    return np.asarray(weight * np.float32(attributes.get("alpha", 1.0)))


def _matmul(weight: Array, attributes: dict[str, Any]) -> Array | None:
    del attributes
    return weight.T if weight.ndim == 2 else None


def _conv(weight: Array, attributes: dict[str, Any]) -> Array | None:
    plain = (
        set(weight.shape[2:]) == {1}
        and attributes.get("group", 1) == 1
        and set(attributes.get("strides", [1])) == {1}
        and not any(attributes.get("pads", []))
    )
    return weight.reshape(weight.shape[:2]) if plain else None


def session(model: bytes, *, threads: int | None) -> Any:
    """Return an onnxruntime session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    # Idle threads that spin would take the cores from decoding and from the next network.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
