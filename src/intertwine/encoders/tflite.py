"""Encoders from TensorFlow Lite files, 8-bit or float, run by LiteRT on the CPU.

`tflite:FILE?OPTIONS`. The classifier is split by itself at the last fully connected layer or 1×1
convolution before the output: what that layer reads, dequantised, is the features.

head=none           no head; the features are the network's own output
head=FILE           the classifier is a second file that reads the first one's output; layers of
                    it before its last linear one become part of the encoder
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

from intertwine.encoders.encoder import (
    Encoder,
    accuracies,
    drop_background,
    probe_dim,
)
from intertwine.encoders.preprocessing import Preprocessing
from intertwine.encoders.tflite_graph import Graph
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.files import sha256_file

if TYPE_CHECKING:
    from intertwine.arrays import Array
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.uri import EncoderUri
    from intertwine.spaces import Head

_INPUTS = ("FLOAT32", "INT8", "UINT8")


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open a TensorFlow Lite file as an encoder; see `intertwine.encoders.registry.open_encoder`.

    Raises
    ------
    InputError
        When the network cannot be split or run as asked.
    FileFormatError
        When the file is no TensorFlow Lite model.
    MissingExtraError
        When ai-edge-litert is not installed.
    """
    import_extra("ai_edge_litert.interpreter", "tflite")
    where = uri.where
    execution.require_plain(where)
    if "weights" in uri.options:
        raise InputError(
            f"{where}: got weights={uri.options['weights']}, but a TensorFlow Lite network keeps "
            "its weights (at 8 bits every tensor's range is fixed to them); use an onnx: network "
            "for the untrained control"
        )
    graph = Graph(uri.path, where)
    preprocessing = _preprocessing(graph, uri)
    stages, head = _stages(graph, uri)
    head = drop_background(head, uri)
    head_dim = None if head is None else head.dim
    run = _Runner(stages, head_dim=head_dim, threads=execution.cores)
    blank = np.zeros((1, *preprocessing.size, 3), np.uint8)
    digests = [sha256_file(stage.path) for stage in stages]
    return Encoder(
        name=uri.name,
        uri=str(uri),
        dim=probe_dim(run(preprocessing.apply(blank)), where=where, head=head),
        preprocessing=preprocessing,
        head=head,
        weights_sha256=_join(digests),
        split="+".join(stage.graph.name_of(stage.split) for stage in stages),
        parameters=sum(stage.graph.parameters() for stage in stages),
        **accuracies(uri),
        run=run,
    )


def _join(digests: list[str]) -> str:
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def _preprocessing(graph: Graph, uri: EncoderUri) -> Preprocessing:
    shape = graph.shape_of(graph.inputs[0])
    kind = graph.type_of(graph.inputs[0])
    if len(graph.inputs) != 1 or len(shape) != 4 or shape[3] != 3 or kind not in _INPUTS:
        raise InputError(
            f"{graph.where}: its input is {kind} {shape}, expected one of images (1, h, w, 3) "
            f"of type {', '.join(_INPUTS)}"
        )
    raw = kind != "FLOAT32" and not uri.options.keys() & {"mean", "std", "scale"}
    return Preprocessing.from_uri(
        uri, fixed=(shape[1], shape[2]), layout="nhwc", dtype="uint8" if raw else "float32"
    )


class _Stage:
    """One file, and the tensor of it that goes on.

    Parameters
    ----------
    path, graph
        The file.
    split
        Index of the tensor.
    """

    def __init__(self, path: str, graph: Graph, split: int) -> None:
        self.path, self.graph, self.split = path, graph, split

    def interpreter(self) -> Any:
        module = import_extra("ai_edge_litert.interpreter", "tflite")
        with warnings.catch_warnings():
            # It warns of the memory; without it an inner tensor is stale.
            warnings.simplefilter("ignore", UserWarning)
            try:
                made = module.Interpreter(
                    self.path, num_threads=1, experimental_preserve_all_tensors=True
                )
                made.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                raise FileFormatError(f"{self.path}: LiteRT cannot load it ({error})") from error
        return made

    def run(self, interpreter: Any, values: Array) -> Array:
        """Return the features of one image, as real numbers, from real numbers or raw pixels."""
        start = self.graph.inputs[0]
        if values.dtype == np.uint8:
            # An int8 network counts its pixels from −128.
            shift = 128 if self.graph.type_of(start) == "INT8" else 0
            stored = (values.astype(np.int16) - shift).astype(self.graph.type_of(start).lower())
        else:
            stored = self.graph.quantise(start, values)
        if self.split == start:
            return self.graph.dequantise(start, stored)
        interpreter.set_tensor(start, stored.reshape(self.graph.shape_of(start)))
        interpreter.invoke()
        return self.graph.dequantise(self.split, interpreter.get_tensor(self.split))


def _stages(graph: Graph, uri: EncoderUri) -> tuple[list[_Stage], Head | None]:
    """Return the files to run one after the other, and the head."""
    layer, choice = uri.options.get("layer"), uri.options.get("head", "auto")
    first = _Stage(uri.path, graph, graph.output)
    if choice == "auto":
        found = graph.find(layer) if layer else graph.last_linear()
        first.split = int(found[1].inputs[0])
        return [first], graph.head(*found)
    if choice == "none":
        first.split = int(graph.find(layer)[1].outputs[0]) if layer else graph.output
        return [first], None
    if not Path(choice).is_file():
        raise InputError(f"{graph.where}: got head={choice}, expected none or a .tflite file")
    second = Graph(choice, f"encoder {uri.scheme}:{choice}")
    reads, gives = second.shape_of(second.inputs[0]), graph.shape_of(graph.output)
    if np.prod(reads) != np.prod(gives):
        raise InputError(f"{second.where}: reads {reads}, but {uri.path} gives {gives}")
    found = second.find(layer) if layer else second.last_linear()
    return [first, _Stage(choice, second, int(found[1].inputs[0]))], second.head(*found)


class _Runner:
    """Images through the stages, one image at a time on each of several threads.

    Many files fix the number of images to one, and two interpreters of one thread are faster than
    one of two.

    Parameters
    ----------
    stages
        The files.
    head_dim
        Dimension that the head reads, or None.
    threads
        Number of interpreters.
    """

    def __init__(self, stages: list[_Stage], *, head_dim: int | None, threads: int) -> None:
        self._stages, self._head_dim = stages, head_dim
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tflite")
        self._free: SimpleQueue[list[Any]] = SimpleQueue()
        for _ in range(threads):
            self._free.put([stage.interpreter() for stage in stages])

    def __call__(self, batch: Array) -> Array:
        return np.concatenate(list(self._pool.map(self._one, batch)))

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
