"""Encoders from TensorFlow SavedModels, as TF-Hub and Kaggle Models publish them, on the CPU.

`tfhub:FOLDER?OPTIONS`, FOLDER with `saved_model.pb` and `variables/`, of TensorFlow 2 or a module
of TensorFlow 1. A SavedModel is a program: open those that you trust. Its variables are frozen, and
the classifier is split by itself at the last fully connected layer or 1×1 convolution before its
output: what that layer reads is the features, the layer is the head. Where the output is that of
another layer, as in the models called feature_vector, it is the features and there is no head.

signature=NAME      which of its functions: by itself `serving_default`, else `default`, else the
                    only one; NAME:OUTPUT where it has several outputs
head=none           no head; the features are the function's own output
layer=NAME          split at this layer instead; with head=none, its output is the features
background=drop     leave out class 0 of the head
weights=random:SEED the same architecture with fresh weights, head included
scale=              1/255 by itself, TF-Hub's pixels between 0 and 1; scale=1 leaves them
crop=               needed where the model takes images of any size
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.encoder import Encoder, accuracies, drop_background, probe_dim
from intertwine.encoders.linear_layer import (
    Role,
    as_vectors,
    check_head,
    find,
    last_linear,
    named_linear,
    role,
    walk_back,
)
from intertwine.encoders.preprocessing import Preprocessing, filled_up
from intertwine.encoders.tensorflow import import_tensorflow
from intertwine.encoders.tfhub.graph import TfhubGraph
from intertwine.encoders.tfhub.signature import Frozen, freeze, gist, sha256_model
from intertwine.encoders.tfhub.untrained import randomise
from intertwine.encoders.weights import asked_weights
from intertwine.errors import InputError
from intertwine.storage.files import sha256_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.encoders.execution import Execution
    from intertwine.encoders.tfhub.graph import TfhubLayer
    from intertwine.encoders.uri import EncoderUri
    from intertwine.numerics.arrays import Array

# Axes of the positions in a map.
_POSITIONS = (1, 2)
_DTYPES = ("float32", "float16", "float64", "uint8")


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open a SavedModel as an encoder; see `intertwine.encoders.registry.open_encoder`."""
    where, folder = uri.where, Path(uri.path)
    execution.require_plain(where)
    seed = asked_weights(uri, files=False).seed
    tf = import_tensorflow()
    _limit(tf, execution.threads)
    frozen = freeze(tf, folder, uri.options.get("signature"), where)
    weights_sha256 = sha256_model(folder)
    if seed is not None:
        drawn = randomise(frozen.graph_def, frozen.output, seed, where)
        weights_sha256 = sha256_tensors(drawn, {"architecture": weights_sha256})
    preprocessing = _preprocessing(frozen, uri)
    graph = TfhubGraph(frozen.graph_def, frozen.output, where)
    split, layer = _split(graph, uri)
    pooled = layer is not None and layer.pooled
    if layer is not None:
        whole = _network(tf, frozen, [layer.features, layer.logits, frozen.output], where)
        features, logits, output = whole(preprocessing.apply(preprocessing.noise(2)))
        features, logits = (
            as_vectors(values, pooled=pooled, axes=_POSITIONS) for values in (features, logits)
        )
        check_head(graph, layer, features, logits, output)
    head = drop_background(None if layer is None else layer.head, uri)
    network = _network(tf, frozen, [split], where)

    def run(batch: Array) -> Array:
        return as_vectors(network(batch)[0], pooled=pooled, axes=_POSITIONS)

    blank = np.zeros((1, *preprocessing.size, 3), np.uint8)
    return Encoder(
        name=uri.name,
        uri=str(uri),
        dim=probe_dim(run(preprocessing.apply(blank)), where=where, head=head),
        preprocessing=preprocessing,
        head=head,
        weights_sha256=weights_sha256,
        split=split,
        parameters=frozen.parameters,
        **accuracies(uri),
        run=run,
    )


def _limit(tf: Any, threads: int | None) -> None:
    """Set TensorFlow's threads, which are set once in a process, before it first computes."""
    if threads is None:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return  # It computed before, and keeps the threads it has.


def _preprocessing(frozen: Frozen, uri: EncoderUri) -> Preprocessing:
    shape = frozen.shape
    if len(shape) != 4 or shape[3] not in {3, None} or frozen.dtype not in _DTYPES:
        raise InputError(
            f"{uri.where}: it reads {frozen.dtype} {list(shape)}, "
            "expected images (n, h, w, 3) of floats or uint8"
        )
    fixed = (shape[1], shape[2]) if shape[1] is not None and shape[2] is not None else None
    filled = uri.replace_all({"scale": "1/255", **uri.options})
    return Preprocessing.from_uri(filled, fixed=fixed, layout="nhwc", dtype=frozen.dtype)


def _split(graph: TfhubGraph, uri: EncoderUri) -> tuple[str, TfhubLayer | None]:
    """Return the name of the features, and the linear layer that is the head."""
    name, output = uri.options.get("layer"), graph.outputs[0]
    if uri.choice("head", ("auto", "none")) == "none":
        return find(graph, name).name if name else output, None
    if name is None and _is_no_classifier(graph, output):
        return output, None
    layer = named_linear(graph, name, output) if name else last_linear(graph, output)
    return layer.features, layer


def _is_no_classifier(graph: TfhubGraph, output: str) -> bool:
    """Return whether neither a score nor a linear layer ends the network, as in a feature vector."""
    node, after = walk_back(graph, output)
    roles = {role(graph, one) for one in (*after, *([] if node is None else [node]))}
    return not roles & {Role.LINEAR, Role.SCORE}


def _network(
    tf: Any, frozen: Frozen, tensors: Sequence[str], where: str
) -> Callable[[Array], list[Array]]:
    """Return what computes some tensors of the graph, and nothing that they do not need."""

    def load() -> None:
        tf.graph_util.import_graph_def(frozen.graph_def, name="")

    names = [name if ":" in name else f"{name}:0" for name in tensors]
    with tf.device("CPU"):
        function = tf.compat.v1.wrap_function(load, []).prune(frozen.feed, names)
    images = frozen.shape[0]

    def run(batch: Array) -> list[Array]:
        # A network whose file fixes the number of images gets as many at a time.
        full = filled_up(batch, images, where) if images else batch
        parts = np.split(full, range(images, len(full), images)) if images else [full]
        try:
            with tf.device("CPU"):
                outputs = [function(tf.constant(part)) for part in parts]
        except (tf.errors.OpError, ValueError) as error:
            raise InputError(f"{where}: TensorFlow cannot run it ({gist(error)})") from error
        return [
            np.concatenate([part.numpy() for part in each])[: len(batch)]
            for each in zip(*outputs, strict=True)
        ]

    return run
