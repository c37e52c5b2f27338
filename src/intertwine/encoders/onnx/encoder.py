"""Encoders from ONNX files, run by onnxruntime on the CPU.

`onnx:FILE?OPTIONS`. The classifier is split by itself at the last fully connected layer or 1×1
convolution before its first output: what that layer reads is the features, the layer is the head.
The whole file is run on two noise images, and a head that does not make its output is refused.

head=none           no head; the features are the network's own output
output=NAME         this output instead of the first one
layer=NAME          split at this layer instead; with head=none, its output is the features
layout=nchw|nhwc    order of the axes, when the file does not show it
background=drop     leave out class 0 of the head
weights=random:SEED the same architecture with fresh weights, head included
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.encoder import (
    Encoder,
    accuracies,
    drop_background,
    probe_dim,
)
from intertwine.encoders.linear_layer import (
    as_vectors,
    check_head,
    find,
    last_linear,
    named_linear,
)
from intertwine.encoders.outputs import choose_output, other_heads, require_last
from intertwine.encoders.preprocessing import Preprocessing, filled_up
from intertwine.encoders.weights import asked_weights
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.storage.files import sha256_file, sha256_tensors
from intertwine.wording import named, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intertwine.encoders.execution import Execution
    from intertwine.encoders.onnx.graph import OnnxGraph, OnnxLayer
    from intertwine.encoders.uri import EncoderUri
    from intertwine.numerics.arrays import Array

# Axes of the positions in a map.
_POSITIONS = (2, 3)
# Counts of channels, other than three, that no side of an image has.
_OTHER_CHANNELS = (1, 2, 4)
_DTYPES = {1: "float32", 10: "float16", 11: "float64", 2: "uint8"}


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open an ONNX file as an encoder; see `intertwine.encoders.registry.open_encoder`."""
    onnx = import_extra("onnx", "onnx")
    import_extra("onnxruntime", "onnx")
    from intertwine.encoders.onnx.graph import OnnxGraph

    where = uri.where
    execution.require_plain(where)
    path = Path(uri.path)
    model, weights_sha256 = _load(onnx, path)
    parameters = _count(OnnxGraph(model, where, path.parent))
    seed = asked_weights(uri, files=False).seed
    if seed is not None:
        from intertwine.encoders.onnx.untrained import randomise

        drawn = randomise(model, seed, where, path.parent)
        weights_sha256 = sha256_tensors(drawn, {"architecture": weights_sha256})
    graph = OnnxGraph(model, where, path.parent)
    preprocessing = _preprocessing(graph, uri)
    output = choose_output(graph, uri.options.get("output"))
    split, layer = _split(graph, uri, output)
    run = _Runner(graph, [split], preprocessing, threads=execution.threads)
    features = _vectors(run, pooled=layer is not None and layer.pooled)
    blank = np.zeros((1, *preprocessing.size, 3), np.uint8)
    head = None if layer is None else layer.head
    dim = probe_dim(features(preprocessing.apply(blank)), where=where, head=head)
    if layer is not None:
        whole = _Runner(graph, [layer.logits, output], preprocessing, threads=execution.threads)
        batch = preprocessing.apply(preprocessing.noise(2))
        tensors = whole(batch)
        logits = as_vectors(tensors[0], pooled=layer.pooled, axes=_POSITIONS)
        reals = graph.as_reals(layer, tensors[-1])
        check_head(graph, layer, features(batch), logits, reals)
    return Encoder(
        name=uri.name,
        uri=str(uri),
        dim=dim,
        preprocessing=preprocessing,
        head=drop_background(head, uri),
        weights_sha256=weights_sha256,
        split=split,
        parameters=parameters,
        notes=() if layer is None else other_heads(graph, layer, output, uri),
        **accuracies(uri),
        run=features,
    )


class _Beside(Mapping[str, "Array"]):
    """The bytes of weights stored beside a file, read when they are asked for."""

    def __init__(self, onnx: Any, tensors: Mapping[str, Any], folder: Path) -> None:
        self._onnx, self._tensors, self._folder = onnx, tensors, str(folder)

    def __getitem__(self, name: str) -> Array:
        tensor = self._onnx.TensorProto()
        tensor.CopyFrom(self._tensors[name])
        self._onnx.external_data_helper.load_external_data_for_tensor(tensor, self._folder)
        return np.frombuffer(tensor.raw_data, np.uint8)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _load(onnx: Any, path: Path) -> tuple[Any, str]:
    """Return a model and the SHA-256 of its weights, those stored beside the file included.

    Those stay beside it, since a model of more than 2 GB cannot be put together again.
    """
    failures = import_extra("google.protobuf.message", "onnx").DecodeError, OSError, ValueError
    beside = onnx.external_data_helper.uses_external_data
    try:
        model = onnx.load(str(path), load_external_data=False)
        for tensor in _inner_tensors(model.graph):
            if beside(tensor):
                onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
        outside = {t.name: t for t in model.graph.initializer if beside(t)}
        digest = sha256_file(path)
        if outside:
            digest = sha256_tensors(_Beside(onnx, outside, path.parent), {"file": digest})
    except (*failures, onnx.checker.ValidationError) as error:
        raise FileFormatError(f"{path}: not a readable ONNX file ({one_line(error)})") from error
    if not model.graph.node or not model.graph.output:
        raise FileFormatError(f"{path}: not an ONNX model: it holds no graph")
    return model, digest


def _inner_tensors(graph: Any) -> Iterator[Any]:
    """Yield the tensors in attributes of a graph's nodes, those of inner graphs included."""
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from inner.initializer
                yield from _inner_tensors(inner)


def _count(graph: OnnxGraph) -> int:
    used = {name for node in graph.nodes for name in node.inputs}
    counted = (t for name, t in graph.initializers.items() if name in used)
    # Floating-point and 8-bit tensors are weights; integers of 32 and 64 bits are shapes.
    return sum(int(np.prod(t.dims)) for t in counted if t.data_type in {1, 2, 3, 10, 11, 16})


def _preprocessing(graph: OnnxGraph, uri: EncoderUri) -> Preprocessing:
    if len(graph.inputs) != 1:
        names = [value.name for value in graph.inputs]
        raise InputError(f"{graph.where}: got inputs {named(names)}, expected one, the image")
    tensor = graph.inputs[0].type.tensor_type
    shape = [axis.dim_value for axis in tensor.shape.dim]
    if len(shape) != 4 or tensor.elem_type not in _DTYPES:
        raise InputError(
            f"{graph.where}: its input has shape {shape} and ONNX type {tensor.elem_type}, "
            "expected images (n, 3, h, w) or (n, h, w, 3) of floats or uint8"
        )
    layout = _layout(graph, shape, uri)
    height, width = shape[2:] if layout == "nchw" else shape[1:3]
    fixed = (height, width) if height > 0 and width > 0 else None
    return Preprocessing.from_uri(uri, fixed=fixed, layout=layout, dtype=_DTYPES[tensor.elem_type])


def _layout(graph: OnnxGraph, shape: list[int], uri: EncoderUri) -> str:
    """Return the axis order of an input of a shape, whose sides are 0 where they are open."""
    channels = {"nchw": shape[1], "nhwc": shape[3]}
    asked = uri.choice("layout", ("nchw", "nhwc")) if "layout" in uri.options else None
    shown = [layout for layout, count in channels.items() if count == 3]
    other = [count for count in channels.values() if count in _OTHER_CHANNELS]
    known = all(count > 0 for count in channels.values())
    if (asked and channels[asked] not in {0, 3}) or (not shown and (known or other)):
        count = channels[asked] if asked else next(iter(other), "other than three")
        raise InputError(
            f"{graph.where}: its input shape {shape} has {count} channels, expected three, of RGB "
            "images; put a layer before it that makes them of RGB"
        )
    if asked is None and len(shown) != 1:
        raise InputError(
            f"{graph.where}: its input shape {shape} does not show where the three channels stand; "
            "give layout=nchw or layout=nhwc"
        )
    return asked or shown[0]


def _split(graph: OnnxGraph, uri: EncoderUri, output: str) -> tuple[str, OnnxLayer | None]:
    """Return the name of the features, and the linear layer that is the head."""
    name = uri.options.get("layer")
    if uri.choice("head", ("auto", "none")) == "none":
        return find(graph, name).outputs[0] if name else output, None
    require_last(graph, output, uri)
    layer = named_linear(graph, name, output) if name else last_linear(graph, output)
    return layer.features, layer


class _Runner:
    """Batches through a network up to some of its tensors."""

    def __init__(
        self,
        graph: OnnxGraph,
        outputs: list[str],
        preprocessing: Preprocessing,
        *,
        threads: int | None,
    ) -> None:
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        self._where, self._outputs = graph.where, list(dict.fromkeys(outputs))
        self._feed = graph.inputs[0].name
        self._failures = (
            state.Fail,
            state.InvalidArgument,
            state.InvalidGraph,
            state.NotImplemented,
            state.RuntimeException,
        )
        too_large = import_extra("google.protobuf.message", "onnx").EncodeError, ValueError
        try:
            self._network = graph.session(self._outputs, threads=threads)
        except self._failures as error:
            raise FileFormatError(
                f"{graph.where}: onnxruntime cannot load it ({one_line(error)})"
            ) from error
        except too_large as error:
            raise InputError(
                f"{graph.where}: too large to be changed: more than 2 GB beside what its file keeps "
                "in others; leave weights=random out"
            ) from error
        self._step = graph.inputs[0].type.tensor_type.shape.dim[0].dim_value
        if self._step <= 0:
            self._step = self._batch_step(preprocessing)

    def _batch_step(self, preprocessing: Preprocessing) -> int:
        """Return how many images run at once: any number (0), or one where the file means one."""
        try:
            tensors = self._run(preprocessing.apply(preprocessing.noise(2)))
        except InputError:
            return 1
        return 0 if all(value.shape[:1] == (2,) for value in tensors) else 1

    def __call__(self, batch: Array) -> list[Array]:
        """Return the tensors for a batch."""
        if self._step == 0:
            return self._run(batch)
        parts = [self._part(batch[i : i + self._step]) for i in range(0, len(batch), self._step)]
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _part(self, images: Array) -> list[Array]:
        """Return the tensors for a part of a batch, filled up to the number of images it must have."""
        tensors = self._run(filled_up(images, self._step, self._where))
        if self._step == 1:
            # Of one image the axis of images may be gone.
            tensors = [value if value.shape[:1] == (1,) else value[None] for value in tensors]
        odd = next((value.shape for value in tensors if value.shape[:1] != (self._step,)), None)
        if odd is not None:
            raise InputError(
                f"{self._where}: makes {odd} of {self._step} images, expected that many rows; "
                "choose the layer to split at with layer=NAME"
            )
        return [value[: len(images)] for value in tensors]

    def _run(self, batch: Array) -> list[Array]:
        try:
            tensors = self._network.run(self._outputs, {self._feed: batch})
        except self._failures as error:
            raise InputError(
                f"{self._where}: onnxruntime cannot run it ({one_line(error)})"
            ) from error
        return [np.asarray(value) for value in tensors]


def _vectors(run: _Runner, *, pooled: bool) -> Callable[[Array], Array]:
    """Return the function from batches to features (n, d) where a network makes one tensor."""

    def features(batch: Array) -> Array:
        (tensor,) = run(batch)
        return as_vectors(tensor, pooled=pooled, axes=_POSITIONS)

    return features
