"""TensorFlow Lite files made in tests, since no converter is at hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

# Versions of operators for the types used here; others have 1.
VERSIONS = {"CONV_2D": 5, "DEQUANTIZE": 3, "FULLY_CONNECTED": 5}
TYPES = {
    "float32": "FLOAT32",
    "float16": "FLOAT16",
    "float64": "FLOAT64",
    "int8": "INT8",
    "uint8": "UINT8",
    "int32": "INT32",
}


@dataclass
class TfliteFile:
    """A file under construction: tensors and operators by name."""

    tensors: dict = field(default_factory=dict)
    operators: list = field(default_factory=list)

    def tensor(self, name, shape, dtype="float32", *, data=None, scale=None, zero=0, axis=0):
        """Add a tensor; scale may be one number or one a channel along an axis."""
        self.tensors[name] = (shape, dtype, data, scale, zero, axis)
        return self

    def constant(self, name, data, **quantisation):
        """Add a constant."""
        return self.tensor(name, data.shape, str(data.dtype), data=data, **quantisation)

    def operator(self, kind, inputs, output, options=None, **values):
        """Add an operator with its options table."""
        self.operators.append((kind, inputs.split(), output, options, values))
        return self

    def save(self, path, start, end):
        """Write the file; `start` and `end` name inputs and outputs."""
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        index = {name: i for i, name in enumerate(self.tensors)}
        buffers, tensors = [schema.BufferT()], []
        for name, (shape, dtype, data, scale, zero, axis) in self.tensors.items():
            tensor = schema.TensorT()
            tensor.name, tensor.shape = name.encode(), list(shape)
            tensor.type = getattr(schema.TensorType, TYPES[dtype])
            if data is not None:
                buffer = schema.BufferT()
                buffer.data = list(np.ascontiguousarray(data).tobytes())
                tensor.buffer = len(buffers)
                buffers.append(buffer)
            if scale is not None:
                quantisation = schema.QuantizationParametersT()
                scales = np.atleast_1d(scale)
                quantisation.scale = [float(value) for value in scales]
                quantisation.zeroPoint = [zero] * len(scales)
                quantisation.quantizedDimension = axis
                tensor.quantization = quantisation
            tensors.append(tensor)
        kinds = sorted({kind for kind, *_ in self.operators})
        codes, operators = [], []
        for kind in kinds:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = VERSIONS.get(kind, 1)
            codes.append(code)
        for kind, inputs, output, options, values in self.operators:
            operator = schema.OperatorT()
            operator.opcodeIndex = kinds.index(kind)
            operator.inputs = [index.get(name, -1) for name in inputs]
            operator.outputs = [index[output]]
            if options:
                operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
                operator.builtinOptions = getattr(schema, f"{options}T")()
                for key, value in values.items():
                    setattr(operator.builtinOptions, key, value)
            operators.append(operator)
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = tensors, operators
        graph.inputs = [index[name] for name in start.split()]
        graph.outputs = [index[name] for name in end.split()]
        model = schema.ModelT()
        model.version, model.description = 3, b"test"
        model.operatorCodes, model.subgraphs, model.buffers = codes, [graph], buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


@pytest.fixture
def tflite_file():
    """Return the class that builds TensorFlow Lite files."""
    return TfliteFile
