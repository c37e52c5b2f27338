"""Reading an ONNX graph: constants, and the last linear layer before the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import external_data_helper, helper, numpy_helper

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from intertwine.numerics.arrays import Array

LINEAR = ("Gemm", "MatMul", "Conv")
POOL = "GlobalAveragePool"
# Functions of the logits that keep the order of the classes.
SCORES = ("LogSoftmax", "Sigmoid", "Softmax")
# What may stand between the last linear layer and the output: these, shapes and rounding.
_HARMLESS = {
    *SCORES,
    "Cast",
    "DequantizeLinear",
    "Dropout",
    "Flatten",
    "Identity",
    POOL,
    "QuantizeLinear",
    "Reshape",
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
    logits
        Name of the tensor that it makes, its bias added.
    after
        The nodes between that tensor and the output, in order.
    """

    features: str
    weight: Array
    bias: Array
    logits: str
    after: tuple[Any, ...] = ()

    @property
    def pooled(self) -> bool:
        """Whether its output is averaged over positions, so that its input may be too."""
        return any(node.op_type == POOL for node in self.after)


class Graph:
    """An ONNX graph with the look-ups that walking backwards needs.

    Parameters
    ----------
    model
        The model; it is not changed.
    where
        What to call it in an error.
    folder
        Where weights lie that are stored beside the file.
    """

    def __init__(self, model: Any, where: str, folder: Path) -> None:
        self.model, self.where, self.folder = model, where, folder
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
            return np.asarray(numpy_helper.to_array(self._loaded(name)))
        nodes, leaves = self._ancestors(name)
        if not nodes or not leaves <= self.initializers.keys():
            return None
        graph = helper.make_graph(
            nodes,
            "constant",
            [],
            [onnx.ValueInfoProto(name=name)],
            [self._loaded(leaf) for leaf in sorted(leaves)],
        )
        model = helper.make_model(
            graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version
        )
        return np.asarray(session(model, folder=self.folder, threads=1).run(None, {})[0])

    def _loaded(self, name: str) -> Any:
        """Return an initializer with its values, which may lie beside the file."""
        tensor = onnx.TensorProto()
        tensor.CopyFrom(self.initializers[name])
        if external_data_helper.uses_external_data(tensor):
            external_data_helper.load_external_data_for_tensor(tensor, str(self.folder))
        return tensor

    def session(self, outputs: Sequence[str], *, threads: int | None) -> Any:
        """Return an onnxruntime session that makes some tensors and nothing that they do not need.

        Raises
        ------
        ValueError, google.protobuf.message.EncodeError
            When the model, what lies beside its file aside, is larger than 2 GB.
        """
        own = list(self.model.graph.output)
        del self.model.graph.output[:]
        self.model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
        try:
            return session(self.model, folder=self.folder, threads=threads)
        finally:
            del self.model.graph.output[:]
            self.model.graph.output.extend(own)

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

    def last_linear(self, output: str) -> LinearLayer:
        """Return the last linear layer before an output.

        Raises
        ------
        InputError
            When something that is not harmless stands between it and the output, or there is no
            such layer.
        """
        name, after = output, list[Any]()
        while True:
            node = self.producers.get(name)
            if node is None:
                raise self._no_head("no fully connected layer or 1×1 convolution leads to it")
            if node.op_type in LINEAR:
                return self._linear(node, tuple(reversed(after)))
            name = self._before_bias(node) if node.op_type == "Add" else node.input[0]
            kinds = {one.op_type for one in after}
            scores_pooled = node.op_type in SCORES and POOL in kinds
            if node.op_type not in {*_HARMLESS, "Add"} or scores_pooled:
                raise self._no_head(
                    f"{node.op_type} stands between its last linear layer and its output"
                )
            after.append(node)

    def leads_on(self, output: str, other: str) -> bool:
        """Return whether a linear layer makes an output out of another output, or what follows it."""
        nodes, _ = self._ancestors(other)
        reached = {output}
        for node in nodes:
            if reached & set(node.input):
                if node.op_type in LINEAR:
                    return True
                reached |= set(node.output)
        return False

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

    def named_linear(self, name: str, output: str) -> LinearLayer:
        """Return a layer by its name as a linear layer, with a bias added on the way to an output.

        Raises
        ------
        InputError
            When there is no such layer, or it is not plainly linear.
        """
        node = self.find(name)
        on_the_way = self._ancestors(output)[0]
        nodes = on_the_way if any(one is node for one in on_the_way) else self.nodes
        users = [user for user in nodes if node.output[0] in user.input]
        adds = [one for one in users if one.op_type == "Add" and self._added(one, node) is not None]
        return self._linear(node, tuple(adds) if len(users) == 1 else ())

    def _added(self, add: Any, node: Any) -> Array | None:
        """Return the constant that an Add adds to what a node makes."""
        others = [name for name in add.input if name != node.output[0]]
        return self.constant(others[0]) if others else None

    def _linear(self, node: Any, after: tuple[Any, ...]) -> LinearLayer:
        """Return a node as a linear layer; of what comes after it an Add right there is its bias."""
        name = node.name or node.output[0]
        if node.op_type not in LINEAR:
            raise InputError(
                f"{self.where}: layer {name} is a {node.op_type}, expected {', '.join(LINEAR)}"
            )
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        read = {"Gemm": _gemm, "MatMul": _matmul, "Conv": _conv}[node.op_type]
        stored = self.constant(node.input[1])
        weight = None if stored is None else read(stored, attributes)
        add = after[0] if after and after[0].op_type == "Add" else None
        biases = list(self._biases(node, attributes.get("beta", 1.0), add))
        if weight is None or any(bias.size not in {1, len(weight)} for bias in biases):
            raise InputError(
                f"{self.where}: layer {name} is no plain fully connected layer or 1×1 convolution "
                "with constant weights; choose another with layer=NAME"
            )
        bias = sum(biases, np.zeros(len(weight), np.float32))
        last, after = (node, after) if add is None else (add, after[1:])
        return LinearLayer(node.input[0], weight.astype(np.float32), bias, last.output[0], after)

    def _biases(self, node: Any, beta: float, add: Any | None) -> Iterator[Array]:
        """Yield the layer's own bias and what is added right after it, flat; empty if unknown."""
        if len(node.input) > 2 and node.input[2]:
            own = self.constant(node.input[2])
            yield np.zeros(0) if own is None else np.float32(beta) * own.reshape(-1)
        added = None if add is None else self._added(add, node)
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


def session(model: Any, *, folder: Path, threads: int | None) -> Any:
    """Return an onnxruntime session on the CPU; weights in files of a folder stay there until read."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    # Idle threads that spin would take the cores from decoding and from the next network.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )
    return onnxruntime.InferenceSession(
        onnx_bytes(model), options, providers=["CPUExecutionProvider"]
    )


def onnx_bytes(model: Any) -> bytes:
    """Return a model as bytes, without what lies beside its file.

    Raises
    ------
    ValueError, google.protobuf.message.EncodeError
        When they are more than 2 GB.
    """
    return bytes(model.SerializeToString())
