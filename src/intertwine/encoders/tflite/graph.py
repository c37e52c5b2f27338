"""A TensorFlow Lite file as a graph of operators and constants, quantised ones included."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.linear_layer import LinearLayer, Node, Role
from intertwine.encoders.scores import log_softmax, sigmoid, softmax
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.storage.untrusted import DAMAGE, require_ordinary

if TYPE_CHECKING:
    import os

    from intertwine.numerics.arrays import Array

# Functions of the logits that keep the order of the classes.
_SCORES = {"LOGISTIC": sigmoid, "LOG_SOFTMAX": log_softmax, "SOFTMAX": softmax}
_FULLY_CONNECTED = "FULLY_CONNECTED"
_ROLES = {
    **dict.fromkeys((_FULLY_CONNECTED, "CONV_2D"), Role.LINEAR),
    **dict.fromkeys(_SCORES, Role.SCORE),
    **dict.fromkeys(("RESHAPE", "SQUEEZE"), Role.SHAPE),
    **dict.fromkeys(("DEQUANTIZE", "QUANTIZE"), Role.ROUNDING),
}
_QUANTISED = {"INT4", "INT8", "UINT8", "INT16"}
TfliteNode = Node[int]
TfliteLayer = LinearLayer[int]


class TfliteGraph:
    """A file with one subgraph as a `Graph`, its tensors called by their indices.

    A file that is none of TensorFlow Lite, or cut short, is a FileFormatError.
    """

    roles = _ROLES

    def __init__(self, path: str | os.PathLike[str], where: str) -> None:
        schema = import_extra("ai_edge_litert.schema_py_generated", "tflite")
        self.where = where
        self._types = {v: k for k, v in vars(schema.TensorType).items() if k.isupper()}
        self._ops = {v: k for k, v in vars(schema.BuiltinOperator).items() if k.isupper()}
        require_ordinary(path)
        try:
            data = Path(path).read_bytes()
            if data[4:8] != b"TFL3":
                raise FileFormatError(f"{path}: not a TensorFlow Lite file")
            self.model = schema.ModelT.InitFromPackedBuf(data, 0)
            self.subgraph = self.model.subgraphs[0]
            self.nodes = [self._node(operator) for operator in self.subgraph.operators]
            self._makers = {out: node for node in self.nodes for out in node.outputs}
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from error
        except DAMAGE as error:
            raise FileFormatError(f"{path}: a TensorFlow Lite file cut short or altered") from error

    def _node(self, operator: Any) -> TfliteNode:
        inputs, outputs = (
            tuple(int(index) for index in ([] if indices is None else indices))
            for indices in (operator.inputs, operator.outputs)
        )
        name = self.name_of(outputs[0]) if outputs else ""
        return TfliteNode(self._op_name(operator), name, inputs, outputs, operator)

    def _op_name(self, operator: Any) -> str:
        code = self.model.operatorCodes[operator.opcodeIndex]
        # Files older than the wide field keep the code in the narrow one.
        return str(self._ops[max(code.builtinCode, code.deprecatedBuiltinCode)])

    @property
    def inputs(self) -> list[int]:
        """Indices of the input tensors."""
        return [int(index) for index in self.subgraph.inputs]

    @property
    def outputs(self) -> list[int]:
        """Indices of the output tensors."""
        return [int(index) for index in self.subgraph.outputs]

    def maker(self, tensor: int) -> TfliteNode | None:
        """Return the operator that makes a tensor."""
        return self._makers.get(tensor)

    def type_of(self, index: int) -> str:
        """Return a tensor's type, such as `UINT8`."""
        return str(self._types[self.subgraph.tensors[index].type])

    def name_of(self, index: int) -> str:
        """Return a tensor's name."""
        return bytes(self.subgraph.tensors[index].name or b"").decode(errors="replace")

    def shape_of(self, index: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return tuple(int(axis) for axis in self.subgraph.tensors[index].shape)

    def is_quantised(self, index: int) -> bool:
        """Return whether a tensor holds integers that stand for real numbers."""
        return self._scales(index).size > 0 and self.type_of(index) in {*_QUANTISED, "INT32"}

    def _scales(self, index: int) -> Array:
        quantisation = self.subgraph.tensors[index].quantization
        scale = None if quantisation is None else quantisation.scale
        return np.zeros(0) if scale is None else np.asarray(scale, np.float64)

    def dequantise(self, index: int, values: Array) -> Array:
        """Return the real numbers that the values of a tensor stand for, in float32."""
        if not self.is_quantised(index):
            return np.asarray(values, np.float32)
        quantisation, scale = self.subgraph.tensors[index].quantization, self._scales(index)
        zero = np.asarray(quantisation.zeroPoint, np.float64)
        if scale.size > 1:  # one scale a channel
            shape = [1] * values.ndim
            shape[quantisation.quantizedDimension] = scale.size
            scale, zero = scale.reshape(shape), np.broadcast_to(zero, scale.size).reshape(shape)
        return np.asarray((values.astype(np.float64) - zero) * scale, np.float32)

    def quantise(self, index: int, values: Array) -> Array:
        """Return real numbers as a tensor stores them."""
        dtype = np.dtype(self.type_of(index).lower())
        if not self.is_quantised(index):
            return values.astype(dtype, copy=False)
        zero = self.subgraph.tensors[index].quantization.zeroPoint[0]
        stored = np.rint(values / self._scales(index)[0]) + zero
        limits = np.iinfo(dtype)
        return np.asarray(np.clip(stored, limits.min, limits.max), dtype)

    def constant(self, index: int) -> Array | None:
        """Return a weight in float32, or None when the tensor is no stored constant."""
        tensor = self.subgraph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            maker = self.maker(index)
            if maker is not None and maker.op == "DEQUANTIZE":
                return self.constant(maker.inputs[0])
            return None
        kind = self.type_of(index)
        if kind not in {"FLOAT32", "FLOAT16", "INT8", "UINT8", "INT16", "INT32", "INT64"}:
            raise InputError(f"{self.where}: tensor {self.name_of(index)} has unread type {kind}")
        values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), kind.lower())
        return self.dequantise(index, values.reshape(self.shape_of(index)))

    def parameters(self) -> int:
        """Return the number of weights: constants that are real numbers."""
        return sum(
            int(np.prod(self.shape_of(index)))
            for index, tensor in enumerate(self.subgraph.tensors)
            if (data := self.model.buffers[tensor.buffer].data) is not None
            and len(data)
            and (self.type_of(index).startswith("FLOAT") or self.is_quantised(index))
        )

    def limits(self, index: int) -> tuple[float, float, float]:
        """Return the least and the greatest number that a tensor can hold, and the step between two.

        The step is 0 for a tensor that holds real numbers as they are.
        """
        if not self.is_quantised(index) or self._scales(index).size != 1:
            return -np.inf, np.inf, 0.0
        whole = np.iinfo(self.type_of(index).lower())
        low, high = self.dequantise(index, np.array([whole.min, whole.max]))
        return float(low), float(high), float(self._scales(index)[0])

    def weight(self, node: TfliteNode) -> Array | None:
        """Return the weight (K, d) of a plain fully connected layer or 1×1 convolution, else None."""
        weight, options = self.constant(node.inputs[1]), node.proto.builtinOptions
        strides = (
            {1}
            if node.op == _FULLY_CONNECTED
            else {getattr(options, "strideW", 0), getattr(options, "strideH", 0)}
        )
        plain = (
            weight is not None
            and getattr(options, "fusedActivationFunction", 0) == 0
            and strides == {1}
            and set(weight.shape[1:-1]) <= {1}
        )
        return weight.reshape(len(weight), -1) if weight is not None and plain else None

    def biases(self, node: TfliteNode) -> list[Array]:
        """Return the third input, flat; empty where it is no constant."""
        if len(node.inputs) < 3 or node.inputs[2] < 0:
            return []
        bias = self.constant(node.inputs[2])
        return [np.zeros(0) if bias is None else bias.reshape(-1)]

    def addend(self, node: TfliteNode) -> None:
        """Return nothing: a bias is an input of the layer itself."""

    def follow(self, node: TfliteNode, values: Array) -> tuple[Array, float]:
        """Compute a score of logits, and what the tensor that holds it can hold of it."""
        if node.op in _SCORES:
            beta = node.proto.builtinOptions.beta if node.op == "SOFTMAX" else 1.0
            values = _SCORES[node.op](values * beta)
        low, high, step = self.limits(node.outputs[0])
        # Their tables of 8 bits are off by a step now and then.
        return np.clip(values, low, high), 0.0 if self.roles[node.op] is Role.SHAPE else 2 * step
