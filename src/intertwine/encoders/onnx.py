"""Encoders from ONNX files, run by onnxruntime on the CPU.

`onnx:FILE?OPTIONS`. The classifier is split by itself at the last fully connected layer or 1×1
convolution before its first output: what that layer reads is the features, the layer is the head.

head=none           no head; the features are the network's own output
layer=NAME          split at this layer instead; with head=none, its output is the features
layout=nchw|nhwc    where the channels stand, when the file does not show it
background=drop     leave out class 0 of the head
weights=random:SEED the same architecture with fresh weights, head included
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.encoder import (
    Encoder,
    accuracies,
    drop_background,
    probe_dim,
)
from intertwine.encoders.preprocessing import Preprocessing
from intertwine.encoders.weights import asked_weights
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.files import sha256_file, sha256_tensors
from intertwine.spaces import Head

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.arrays import Array
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.onnx_graph import Graph, LinearLayer
    from intertwine.encoders.uri import EncoderUri

_DTYPES = {1: "float32", 10: "float16", 11: "float64", 2: "uint8"}


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open an ONNX file as an encoder; see `intertwine.encoders.registry.open_encoder`.

    Raises
    ------
    InputError
        When the network cannot be split or run as asked.
    FileFormatError
        When the file is no ONNX model.
    MissingExtraError
        When onnx or onnxruntime is not installed.
    """
    onnx = import_extra("onnx", "onnx")
    import_extra("onnxruntime", "onnx")
    from intertwine.encoders.onnx_graph import Graph

    where = uri.where
    execution.require_plain(where)
    model, weights_sha256 = _load(onnx, Path(uri.path))
    parameters = _count(Graph(model, where))
    seed = asked_weights(uri, files=False).seed
    if seed is not None:
        from intertwine.encoders.onnx_random import randomise

        drawn = randomise(model, seed, where)
        weights_sha256 = sha256_tensors(drawn, {"architecture": weights_sha256})
    graph = Graph(model, where)
    preprocessing = _preprocessing(graph, uri)
    split, layer = _split(graph, uri)
    run = _runner(
        onnx, graph, split, pooled=layer is not None and layer.pooled, threads=execution.threads
    )
    head = drop_background(Head(layer.weight, layer.bias) if layer else None, uri)
    blank = np.zeros((1, *preprocessing.size, 3), np.uint8)
    return Encoder(
        name=uri.name,
        uri=str(uri),
        dim=probe_dim(run(preprocessing.apply(blank)), where=where, head=head),
        preprocessing=preprocessing,
        head=head,
        weights_sha256=weights_sha256,
        split=split,
        parameters=parameters,
        **accuracies(uri),
        run=run,
    )


def _load(onnx: Any, path: Path) -> tuple[Any, str]:
    """Return a model and the SHA-256 of its weights, those stored beside the file included."""
    failures = import_extra("google.protobuf.message", "onnx").DecodeError, OSError, ValueError
    try:
        model = onnx.load(str(path), load_external_data=False)
        outside = [t.name for t in model.graph.initializer if t.external_data]
        onnx.load_external_data_for_model(model, str(path.parent))
    except (*failures, onnx.checker.ValidationError) as error:
        raise FileFormatError(f"{path}: not a readable ONNX file ({error})") from error
    if not model.graph.node or not model.graph.output:
        raise FileFormatError(f"{path}: not an ONNX model: it holds no graph")
    own = sha256_file(path)
    weights = {t.name: t.raw_data for t in model.graph.initializer if t.name in outside}
    arrays = {name: np.frombuffer(data, np.uint8) for name, data in weights.items()}
    return model, sha256_tensors(arrays, {"file": own}) if arrays else own


def _count(graph: Graph) -> int:
    used = {name for node in graph.nodes for name in node.input}
    counted = (t for name, t in graph.initializers.items() if name in used)
    # Floating-point and 8-bit tensors are weights; integers of 32 and 64 bits are shapes.
    return sum(int(np.prod(t.dims)) for t in counted if t.data_type in {1, 2, 3, 10, 11, 16})


def _preprocessing(graph: Graph, uri: EncoderUri) -> Preprocessing:
    if len(graph.inputs) != 1:
        names = [value.name for value in graph.inputs]
        raise InputError(f"{graph.where}: got inputs {names}, expected one, the image")
    tensor = graph.inputs[0].type.tensor_type
    shape = [axis.dim_value for axis in tensor.shape.dim]
    if len(shape) != 4 or tensor.elem_type not in _DTYPES:
        raise InputError(
            f"{graph.where}: its input has shape {shape} and ONNX type {tensor.elem_type}, "
            "expected images (n, 3, h, w) or (n, h, w, 3) of floats or uint8"
        )
    shown = [name for name, axis in (("nchw", 1), ("nhwc", 3)) if shape[axis] == 3]
    if "layout" not in uri.options and len(shown) != 1:
        raise InputError(
            f"{graph.where}: its input shape {shape} does not show where the three channels stand; "
            "give layout=nchw or layout=nhwc"
        )
    layout = uri.choice("layout", ("nchw", "nhwc")) if "layout" in uri.options else shown[0]
    height, width = shape[2:] if layout == "nchw" else shape[1:3]
    fixed = (height, width) if height > 0 and width > 0 else None
    return Preprocessing.from_uri(uri, fixed=fixed, layout=layout, dtype=_DTYPES[tensor.elem_type])


def _split(graph: Graph, uri: EncoderUri) -> tuple[str, LinearLayer | None]:
    """Return the name of the features, and the linear layer that is the head."""
    name = uri.options.get("layer")
    if uri.choice("head", ("auto", "none")) == "none":
        found = graph.find(name).output[0] if name else graph.model.graph.output[0].name
        return found, None
    layer = graph.linear(graph.find(name)) if name else graph.last_linear()
    return layer.features, layer


def _runner(
    onnx: Any, graph: Graph, split: str, *, pooled: bool, threads: int | None
) -> Callable[[Array], Array]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    from intertwine.encoders.onnx_graph import session

    failures = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.NotImplemented,
        state.RuntimeException,
    )
    # With the features as the only output, onnxruntime drops what comes after them.
    del graph.model.graph.output[:]
    graph.model.graph.output.append(onnx.ValueInfoProto(name=split))
    feed = graph.inputs[0].name
    fixed = graph.inputs[0].type.tensor_type.shape.dim[0].dim_value
    try:
        network = session(graph.model.SerializeToString(), threads=threads)
    except failures as error:
        raise FileFormatError(f"{graph.where}: onnxruntime cannot load it ({error})") from error

    def run(batch: Array) -> Array:
        try:
            parts = [network.run([split], {feed: part})[0] for part in _cut(batch, fixed)]
        except failures as error:
            raise InputError(f"{graph.where}: onnxruntime cannot run it ({error})") from error
        features = np.concatenate(parts)
        if features.ndim == 4 and pooled:
            return np.asarray(features.mean(axis=(2, 3)))
        if features.ndim == 4 and features.shape[2:] == (1, 1):
            return features[:, :, 0, 0]
        return features

    return run


def _cut(batch: Array, fixed: int) -> list[Array]:
    """Cut a batch as a network wants it whose file fixes the number of images."""
    return [batch] if fixed <= 0 else [batch[i : i + fixed] for i in range(0, len(batch), fixed)]
