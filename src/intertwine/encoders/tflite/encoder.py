"""Encoders from TensorFlow Lite files, 8-bit or float, run by LiteRT on the CPU.

`tflite:FILE?OPTIONS`. The classifier is split by itself at the last fully connected layer or 1×1
convolution before the first output: what that layer reads, dequantised, is the features. The whole
file is run on two noise images, and a head that does not make its output is refused.

head=none           no head; the features are the network's own output
head=FILE           the classifier is a second file that reads the first one's output; layers of
                    it before its last linear one become part of the encoder
output=NAME         this output instead of the first one
layer=NAME          split at the layer that makes this tensor; with head=none, it is the features
background=drop     leave out class 0 of the head
mean=, std=, scale= without them an 8-bit network gets the pixels as they are
"""

from __future__ import annotations

import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.encoder import Encoder, accuracies, drop_background, probe_dim
from intertwine.encoders.linear_layer import check_head, find, last_linear, named_linear
from intertwine.encoders.outputs import choose_output, other_heads, require_last
from intertwine.encoders.preprocessing import Preprocessing, require_batch
from intertwine.encoders.tflite.graph import TfliteGraph
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.storage.files import sha256_file
from intertwine.storage.untrusted import damage_as_error
from intertwine.wording import named, one_line

if TYPE_CHECKING:
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.tflite.graph import TfliteLayer
    from intertwine.encoders.uri import EncoderUri
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Head

_INPUTS = ("FLOAT32", "INT8", "UINT8")


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open a TensorFlow Lite file; see `intertwine.encoders.registry.open_encoder`."""
    import_extra("ai_edge_litert.interpreter", "tflite")
    where = uri.where
    execution.require_plain(where)
    if "weights" in uri.options:
        raise InputError(
            f"{where}: got weights={uri.options['weights']}, but a TensorFlow Lite network keeps "
            "its weights (at 8 bits every tensor's range is fixed to them); use an onnx: network "
            "for the untrained control"
        )
    second = {uri.options.get("head")} - {None, "auto", "none"}
    with damage_as_error(" or ".join([uri.path, *map(str, second)]), "a TensorFlow Lite network"):
        return _opened(uri, execution)


def _opened(uri: EncoderUri, execution: Execution) -> Encoder:
    """Return the encoder in a file; what damage raises in its graph is left as it is."""
    where = uri.where
    graph = TfliteGraph(uri.path, where)
    preprocessing = _preprocessing(graph, uri)
    stages = _stages(graph, uri)
    layer, output = stages[-1].layer, stages[-1].output
    head = None if layer is None else layer.head
    head_dim = None if head is None else head.dim
    run = _Runner(stages, head_dim=head_dim, threads=execution.cores)
    blank = np.zeros((1, *preprocessing.size, 3), np.uint8)
    digests = [sha256_file(stage.path) for stage in stages]
    dim = probe_dim(run(preprocessing.apply(blank)), where=where, head=head)
    if layer is not None:
        _check_head(stages[-1], layer, run, preprocessing)
    return Encoder(
        name=uri.name,
        uri=str(uri),
        dim=dim,
        preprocessing=preprocessing,
        head=drop_background(head, uri),
        weights_sha256=_join(digests),
        split="+".join(stage.graph.name_of(stage.split) for stage in stages),
        parameters=sum(stage.graph.parameters() for stage in stages),
        notes=() if layer is None else other_heads(stages[-1].graph, layer, output, uri),
        **accuracies(uri),
        run=run,
    )


def _join(digests: list[str]) -> str:
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def _preprocessing(graph: TfliteGraph, uri: EncoderUri) -> Preprocessing:
    if len(graph.inputs) != 1:
        names = [graph.name_of(index) for index in graph.inputs]
        raise InputError(f"{graph.where}: got inputs {named(names)}, expected one, the image")
    shape = graph.shape_of(graph.inputs[0])
    kind = graph.type_of(graph.inputs[0])
    if len(shape) != 4 or shape[3] != 3 or kind not in _INPUTS:
        raise InputError(
            f"{graph.where}: its input is {kind} {shape}, expected one of images (1, h, w, 3) "
            f"of type {', '.join(_INPUTS)}"
        )
    raw = kind != "FLOAT32" and not uri.options.keys() & {"mean", "std", "scale"}
    return Preprocessing.from_uri(
        uri, fixed=(shape[1], shape[2]), layout="nhwc", dtype="uint8" if raw else "float32"
    )


class _Stage:
    """One file: its output, the tensor that the next stage reads, and the layer that is the head."""

    def __init__(self, path: str, graph: TfliteGraph, output: int) -> None:
        self.path, self.graph, self.output = path, graph, output
        self.split = output
        self.layer: TfliteLayer | None = None

    def split_at(self, layer: TfliteLayer) -> None:
        """Make what a layer reads the features, and the layer the head."""
        self.split, self.layer = layer.features, layer

    def interpreter(self) -> Any:
        module = import_extra("ai_edge_litert.interpreter", "tflite")
        with warnings.catch_warnings():
            # It warns of the memory; without it an inner tensor is stale.
            warnings.simplefilter("ignore", UserWarning)
            try:
                interpreter = module.Interpreter(
                    self.path, num_threads=1, experimental_preserve_all_tensors=True
                )
                interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                raise FileFormatError(
                    f"{self.path}: LiteRT cannot load it ({one_line(error)})"
                ) from error
        return interpreter

    def run(self, interpreter: Any, values: Array) -> Array:
        """Return the features of one image, as real numbers, from real numbers or raw pixels."""
        stored = self._stored(values)
        if self.split == self.graph.inputs[0]:
            return self.graph.dequantise(self.split, stored)
        return self.tensors(interpreter, values, [self.split])[0]

    def tensors(self, interpreter: Any, values: Array, indices: list[int]) -> list[Array]:
        """Return some tensors of one image, as real numbers."""
        stored, start = self._stored(values), self.graph.inputs[0]
        shape = self.graph.shape_of(start)
        # A file for several images at a time reads the same one as often.
        times = int(np.prod(shape, dtype=np.int64)) // stored.size
        require_batch(times, stored, self.graph.where)
        try:
            interpreter.set_tensor(start, np.tile(stored.reshape(-1), times).reshape(shape))
            interpreter.invoke()
        except RuntimeError as error:
            raise InputError(
                f"{self.graph.where}: LiteRT cannot run it ({one_line(error)})"
            ) from error
        return [self._read(interpreter, index, times) for index in indices]

    def _stored(self, values: Array) -> Array:
        """Return real numbers or raw pixels as the file's input stores them."""
        start = self.graph.inputs[0]
        if values.dtype != np.uint8:
            return self.graph.quantise(start, values)
        # An int8 network counts its pixels from −128.
        shift = 128 if self.graph.type_of(start) == "INT8" else 0
        return (values.astype(np.int16) - shift).astype(self.graph.type_of(start).lower())

    def _read(self, interpreter: Any, index: int, times: int) -> Array:
        values = self.graph.dequantise(index, interpreter.get_tensor(index))
        if times == 1:
            return values
        if values.shape[:1] != (times,):
            raise InputError(
                f"{self.graph.where}: tensor {self.graph.name_of(index)} has shape {values.shape} for "
                f"{times} images, expected that many rows; choose another layer with layer=NAME"
            )
        return values[:1]


def _stages(graph: TfliteGraph, uri: EncoderUri) -> list[_Stage]:
    """Return the files to run one after the other, the head that of the last."""
    layer, choice = uri.options.get("layer"), uri.options.get("head", "auto")
    name = uri.options.get("output")
    if choice == "none":
        first = _Stage(uri.path, graph, choose_output(graph, name))
        first.split = find(graph, layer).outputs[0] if layer else first.output
        return [first]
    if choice == "auto":
        first = _Stage(uri.path, graph, choose_output(graph, name))
        first.split_at(_layer(first, uri))
        return [first]
    if not Path(choice).is_file():
        raise InputError(f"{graph.where}: got head={choice}, expected none or a .tflite file")
    first = _Stage(uri.path, graph, choose_output(graph, None))
    second = TfliteGraph(choice, f"encoder {uri.scheme}:{choice}")
    reads, gives = second.shape_of(second.inputs[0]), graph.shape_of(first.output)
    each = int(np.prod(gives)) // graph.shape_of(graph.inputs[0])[0]
    if np.prod(reads) not in {each, np.prod(gives)}:
        raise InputError(f"{second.where}: reads {reads}, but {uri.path} gives {gives}")
    last = _Stage(choice, second, choose_output(second, name))
    last.split_at(_layer(last, uri))
    return [first, last]


def _layer(stage: _Stage, uri: EncoderUri) -> TfliteLayer:
    """Return the last linear layer of a file, or the one that is named."""
    name = uri.options.get("layer")
    require_last(stage.graph, stage.output, uri)
    if name:
        return named_linear(stage.graph, name, stage.output)
    return last_linear(stage.graph, stage.output)


def _check_head(
    stage: _Stage, layer: TfliteLayer, run: _Runner, preprocessing: Preprocessing
) -> None:
    """Check the head on images of noise, within what the file's own rounding allows."""
    batch, graph = preprocessing.apply(preprocessing.noise(2)), stage.graph
    features = run(batch)
    logits, output = run.tensors(batch, [layer.logits, stage.output])
    low, high, slack = graph.limits(layer.logits)
    eight_bits = "INT" in graph.type_of(layer.node.inputs[1])
    if eight_bits and not graph.is_quantised(layer.features):
        slack += _rounding(layer.head, features)
    check_head(graph, layer, features, logits, output, limits=(low, high), slack=slack)


def _rounding(head: Head, features: Array) -> float:
    """Return by how much logits may be off where LiteRT rounds features to 8 bits by itself.

    Six standard deviations of the sum of d roundings, each uniform over a step.
    """
    step = np.abs(features).max() / 127
    return float(6 * step / np.sqrt(12) * np.linalg.norm(head.weight, axis=1).max())


class _Runner:
    """Images through the stages, one image at a time on each of several threads.

    Many files fix the number of images to one, and two interpreters of one thread are faster than
    one of two.
    """

    def __init__(self, stages: list[_Stage], *, head_dim: int | None, threads: int) -> None:
        self._stages, self._head_dim = stages, head_dim
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tflite")
        self._free: SimpleQueue[list[Any]] = SimpleQueue()
        for _ in range(threads):
            self._free.put([stage.interpreter() for stage in stages])

    def __call__(self, batch: Array) -> Array:
        return np.concatenate(list(self._pool.map(self._one, batch)))

    def tensors(self, batch: Array, indices: list[int]) -> list[Array]:
        """Return some tensors of the last file for a batch, each as (n, k)."""
        interpreters, rows = self._free.get(), []
        *first, last = zip(self._stages, interpreters, strict=True)
        try:
            for image in batch:
                values = image
                for stage, interpreter in first:
                    values = stage.run(interpreter, values)
                tensors = last[0].tensors(last[1], values, indices)
                rows.append([value.reshape(-1) for value in tensors])
        finally:
            self._free.put(interpreters)
        return [np.stack(values) for values in zip(*rows, strict=True)]

    def _one(self, image: Array) -> Array:
        values, interpreters = image, self._free.get()
        try:
            for stage, interpreter in zip(self._stages, interpreters, strict=True):
                values = stage.run(interpreter, values)
        finally:
            self._free.put(interpreters)
        # A fully connected layer reads all positions of its input as one vector.
        flat = set(values.shape[:-1]) == {1} or values.size == self._head_dim
        return values.reshape(1, -1) if flat else values.reshape(1, *values.shape[1:])
