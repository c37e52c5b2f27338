"""An ONNX file as a graph of nodes and constants, and onnxruntime sessions of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import external_data_helper, helper, numpy_helper

from intertwine.encoders.linear_layer import LinearLayer, Node, Role, ancestors
from intertwine.encoders.scores import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from intertwine.numerics.arrays import Array

OnnxNode = Node[str]
OnnxLayer = LinearLayer[str]
_ROUNDING = "QuantizeLinear"
_ROLES = {
    **dict.fromkeys(("Gemm", "MatMul", "Conv"), Role.LINEAR),
    "Add": Role.BIAS,
    "GlobalAveragePool": Role.POOL,
    **dict.fromkeys((_ROUNDING, "DequantizeLinear"), Role.ROUNDING),
    **dict.fromkeys(SCORES, Role.SCORE),
    **dict.fromkeys(
        ("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"), Role.SHAPE
    ),
}


class OnnxGraph:
    """An ONNX model as a `Graph`; the model is not changed.

    `folder` is where weights lie that are stored beside the file.
    """

    roles = _ROLES

    def __init__(self, model: Any, where: str, folder: Path) -> None:
        self.model, self.where, self.folder = model, where, folder
        self.nodes = [
            OnnxNode(
                node.op_type,
                node.name or next(iter(node.output), ""),
                tuple(node.input),
                tuple(node.output),
                node,
            )
            for node in model.graph.node
        ]
        self.outputs = [str(value.name) for value in model.graph.output]
        self._makers = {name: node for node in self.nodes for name in node.outputs if name}
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}

    @property
    def inputs(self) -> list[Any]:
        """The graph's inputs that are no weights."""
        return [value for value in self.model.graph.input if value.name not in self.initializers]

    def name_of(self, tensor: str) -> str:
        """Return the name itself."""
        return tensor

    def maker(self, tensor: str) -> OnnxNode | None:
        """Return the node that makes a tensor."""
        return self._makers.get(tensor)

    def constant(self, tensor: str) -> Array | None:
        """Return a tensor's value when it depends on weights only, else None."""
        if tensor in self.initializers:
            return np.asarray(numpy_helper.to_array(self._loaded(tensor)))
        nodes = ancestors(self, tensor)
        names = {name for node in nodes for name in node.inputs if name}
        leaves = {name for name in names if name not in self._makers}
        if not nodes or not leaves <= self.initializers.keys():
            return None
        graph = helper.make_graph(
            [node.proto for node in nodes],
            "constant",
            [],
            [onnx.ValueInfoProto(name=tensor)],
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

    def weight(self, node: OnnxNode) -> Array | None:
        """Return the weight (K, d) of a Gemm, a MatMul or a plain 1×1 convolution, else None."""
        stored = self.constant(node.inputs[1])
        read = {"Gemm": _gemm, "MatMul": _matmul, "Conv": _conv}[node.op]
        return None if stored is None else read(stored, _attributes(node))

    def biases(self, node: OnnxNode) -> list[Array]:
        """Return the third input, times a Gemm's beta, flat; empty where it is no constant."""
        if len(node.inputs) < 3 or not node.inputs[2]:
            return []
        bias = self.constant(node.inputs[2])
        beta = np.float32(_attributes(node).get("beta", 1.0))
        return [np.zeros(0) if bias is None else beta * bias.reshape(-1)]

    def addend(self, node: OnnxNode) -> tuple[str, Array] | None:
        """Return a linear layer's output that a constant is added to, and the constant, flat."""
        for name, other in (node.inputs, node.inputs[::-1]):
            maker = self.maker(name)
            if maker is not None and self.roles.get(maker.op) is Role.LINEAR:
                bias = self.constant(other)
                if bias is not None:
                    return name, bias.reshape(-1)
        return None

    def follow(self, node: OnnxNode, values: Array) -> tuple[Array, float] | None:
        """Compute a score of logits, or their rounding where one step is for all channels."""
        if node.op in SCORES:
            return SCORES[node.op](values), 0.0
        if node.op != _ROUNDING:
            return values, 0.0
        scale, zero, limits = self._steps(node)
        if scale is None or scale.size != 1:
            return None
        step = float(scale.reshape(-1)[0])
        stored = np.clip(np.rint(values / step) + zero, limits.min, limits.max)
        return (stored - zero) * step, step

    def _steps(self, node: OnnxNode) -> tuple[Array | None, float, Any]:
        """Return the scale of a QuantizeLinear, its zero, and the limits of its integers."""
        scale = self.constant(node.inputs[1])
        zero = self.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        zero = np.zeros(1, np.uint8) if zero is None else zero
        if scale is None or zero.size != 1 or zero.dtype.kind not in "iu":
            return None, 0.0, None
        return scale, float(zero.reshape(-1)[0]), np.iinfo(zero.dtype)

    def as_reals(self, layer: OnnxLayer, output: Array) -> Array:
        """Return an output that a QuantizeLinear after a layer made as the reals it stands for."""
        for node in layer.after:
            if node.op == _ROUNDING and output.dtype.kind in "iu":
                scale, zero, _ = self._steps(node)
                if scale is not None:
                    output = np.asarray((output.astype(np.float64) - zero) * scale.reshape(-1)[0])
        return output

    def session(self, outputs: Sequence[str], *, threads: int | None) -> Any:
        """Return an onnxruntime session that makes some tensors and nothing that they do not need.

        A ValueError or an EncodeError of protobuf is raised for a model that, what lies beside its
        file aside, is larger than 2 GB.
        """
        outputs_before = list(self.model.graph.output)
        del self.model.graph.output[:]
        self.model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
        try:
            return session(self.model, folder=self.folder, threads=threads)
        finally:
            del self.model.graph.output[:]
            self.model.graph.output.extend(outputs_before)


def _attributes(node: OnnxNode) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.proto.attribute}


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
    """Return a model as bytes, without what lies beside its file; above 2 GB protobuf raises."""
    return bytes(model.SerializeToString())
