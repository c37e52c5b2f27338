"""Reading a TensorFlow Lite graph: quantised constants, and the last linear layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.scores import log_softmax, sigmoid, softmax
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.spaces import Head
from intertwine.storage.untrusted import DAMAGE, require_ordinary

if TYPE_CHECKING:
    import os

    from intertwine.numerics.arrays import Array

LINEAR = ("FULLY_CONNECTED", "CONV_2D")
# Functions of the logits that keep the order of the classes.
SCORES = {"LOGISTIC": sigmoid, "LOG_SOFTMAX": log_softmax, "SOFTMAX": softmax}
# What may stand between the last linear layer and the output: these, shapes and rounding.
SHAPES = ("RESHAPE", "SQUEEZE")
_HARMLESS = {*SCORES, *SHAPES, "DEQUANTIZE", "QUANTIZE"}
_QUANTISED = {"INT4", "INT8", "UINT8", "INT16"}


class Graph:
    """The operators and tensors of a file with one subgraph.

    Parameters
    ----------
    path
        The file.
    where
        What to call it in an error.

    Raises
    ------
    FileFormatError
        When it is no TensorFlow Lite file, or cut short.
    """

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
            self.operators = [(self._op_name(op), op) for op in self.subgraph.operators]
            self.producers = {out: item for item in self.operators for out in item[1].outputs}
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from error
        except DAMAGE as error:
            raise FileFormatError(f"{path}: a TensorFlow Lite file cut short or altered") from error

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

    def output(self, name: str | None) -> int:
        """Return the index of the output tensor of a name, the first where there is none.

        Raises
        ------
        InputError
            When there is no output of this name.
        """
        if name is None:
            return self.outputs[0]
        named = {self.name_of(index): index for index in self.outputs}
        if name not in named:
            raise InputError(f"{self.where}: no output {name}; it has {', '.join(named)}")
        return named[name]

    def leads_on(self, output: int, other: int) -> bool:
        """Return whether a linear layer makes an output out of another output, or what follows it."""
        before = self._ancestors(other)
        reached = {output}
        for name, operator in self.operators:
            if id(operator) in before and reached & {int(index) for index in operator.inputs}:
                if name in LINEAR:
                    return True
                reached |= {int(index) for index in operator.outputs}
        return False

    def _ancestors(self, index: int) -> set[int]:
        """Return which operators a tensor depends on."""
        found: set[int] = set()
        waiting = [index]
        while waiting:
            _, operator = self.producers.get(waiting.pop(), ("", None))
            if operator is not None and id(operator) not in found:
                found.add(id(operator))
                waiting += [int(index) for index in operator.inputs]
        return found

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
        """Return the real numbers that a tensor's values stand for, in float32.

        Parameters
        ----------
        index
            The tensor.
        values
            What it holds.
        """
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
            producer = self.producers.get(index)
            if producer is not None and producer[0] == "DEQUANTIZE":
                return self.constant(int(producer[1].inputs[0]))
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

    def find(self, layer: str) -> tuple[str, Any]:
        """Return the operator whose output tensor has a name.

        Raises
        ------
        InputError
            When there is none.
        """
        for name, operator in self.operators:
            if any(self.name_of(index) == layer for index in operator.outputs):
                return name, operator
        last = [self.name_of(op.outputs[0]) for name, op in self.operators if name in LINEAR][-3:]
        raise InputError(
            f"{self.where}: no tensor {layer!r}; its last linear layers make {', '.join(last)}"
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

    def after(self, index: int, output: int) -> list[tuple[str, Any]]:
        """Return the operators between a tensor and an output of which it is the first input."""
        path: list[tuple[str, Any]] = []
        while output != index:
            path.insert(0, self.producers[output])
            output = int(path[0][1].inputs[0])
        return path

    def last_linear(self, index: int) -> tuple[str, Any]:
        """Return the last fully connected layer or convolution before an output.

        Raises
        ------
        InputError
            When something that is not harmless stands between it and the output.
        """
        seen: set[int] = set()
        while True:
            name, operator = self.producers.get(index, ("", None))
            if name in LINEAR:
                return name, operator
            if index in seen:
                raise InputError(f"{self.where}: {self.name_of(index)} is made of itself; damaged")
            seen.add(index)
            if name not in _HARMLESS:
                why = (
                    f"{name} stands between its last linear layer and its output"
                    if name
                    else "no fully connected layer or 1×1 convolution leads to it"
                )
                raise InputError(
                    f"{self.where}: no head found: {why}; give head=none when the output itself "
                    "is the features, or layer=NAME for the tensor that the layer to split at makes"
                )
            index = int(operator.inputs[0])

    def head(self, name: str, operator: Any) -> Head:
        """Return a linear operator as a head.

        Raises
        ------
        InputError
            When it is not plainly linear or its weights are no constants.
        """
        label = self.name_of(operator.outputs[0])
        options = operator.builtinOptions
        weight = self.constant(int(operator.inputs[1])) if name in LINEAR else None
        strides = (
            {1}
            if name == "FULLY_CONNECTED"
            else {getattr(options, "strideW", 0), getattr(options, "strideH", 0)}
        )
        plain = (
            weight is not None
            and getattr(options, "fusedActivationFunction", 0) == 0
            and strides == {1}
            and set(weight.shape[1:-1]) <= {1}
        )
        if weight is None or not plain:
            raise InputError(
                f"{self.where}: layer {label} is no plain fully connected layer or 1×1 "
                "convolution; give head=none or layer=NAME"
            )
        weight = weight.reshape(len(weight), -1)
        bias = np.zeros(len(weight), np.float32)
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            own = self.constant(int(operator.inputs[2]))
            if own is None:
                raise InputError(f"{self.where}: the bias of layer {label} is no constant")
            bias = own.reshape(-1)
        return Head(weight, bias)
