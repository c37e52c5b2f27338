"""Reading TensorFlow checkpoints: the variables by name, or by their place in the object graph.

A Keras 2 model's `save_weights(path)` writes `path.index` and `path.data-…`, whose entry
`_CHECKPOINTABLE_OBJECT_GRAPH` records which object owns which variable, and the variable's name
when it was made. TensorFlow 1 wrote variables by name, in such files or, before, in one file
`path`. TensorFlow reads the bytes; nothing in a checkpoint is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.tensorflow import EXTRA, import_tensorflow
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.wording import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.numerics.arrays import Array

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True)
class Variable:
    """A variable of a checkpoint.

    `path` is its place in the object graph, such as `layer_with_weights-0/kernel`; `name` what it
    was called when it was made, such as `Conv1/kernel`.
    """

    path: str
    name: str
    value: Array


def read_variables(prefix: Path, *, left_out: tuple[str, ...] = ()) -> list[Variable]:
    """Return a checkpoint's variables, but an optimiser's and those whose paths begin with `left_out`."""
    tf = import_tensorflow()
    protos: Any = import_extra("tensorflow.core.protobuf.trackable_object_graph_pb2", EXTRA)
    decode_error = import_extra("google.protobuf.message", EXTRA).DecodeError
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        if not reader.has_tensor(_GRAPH):
            raise FileFormatError(
                f"{prefix}: a checkpoint without an object graph, expected one that "
                "save_weights of a TensorFlow 2 Keras model wrote"
            )
        graph = protos.TrackableObjectGraph.FromString(reader.get_tensor(_GRAPH))
        return [
            Variable(
                attribute.checkpoint_key.removesuffix(_SUFFIX),
                attribute.full_name,
                np.asarray(reader.get_tensor(attribute.checkpoint_key)),
            )
            for node in graph.nodes
            for attribute in node.attributes
            if _is_of_model(attribute.checkpoint_key)
            and not attribute.checkpoint_key.startswith(left_out)
        ]
    except (tf.errors.OpError, decode_error, ValueError, RuntimeError) as error:
        raise FileFormatError(f"{prefix}: not a readable checkpoint ({one_line(error)})") from error


def _is_of_model(key: str) -> bool:
    return (
        key.endswith(_SUFFIX)
        and ".OPTIMIZER_SLOT" not in key
        and not key.startswith(("optimizer/", "save_counter/"))
    )


def read_named(prefix: Path) -> dict[str, Array]:
    """Return the variables of a checkpoint that TensorFlow 1 wrote, by name."""
    tf = import_tensorflow()
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = sorted(reader.get_variable_to_shape_map())
        return {name: np.asarray(reader.get_tensor(name)) for name in names}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise FileFormatError(f"{prefix}: not a readable checkpoint ({one_line(error)})") from error


def checkpoint_prefix(checkpoint: Path) -> Path:
    """Return the path that a checkpoint's files begin with.

    `checkpoint` is that path itself, the `.index` file, the one file of TensorFlow 1's first
    format, or a folder whose latest checkpoint is meant.
    """
    if checkpoint.is_dir():
        latest = sorted(checkpoint.glob("*.index"), key=lambda path: path.stat().st_mtime)
        if not latest:
            raise InputError(f"{checkpoint}: holds no checkpoint, expected NAME.index files")
        return latest[-1].with_suffix("")
    prefix = checkpoint.with_suffix("") if checkpoint.suffix == ".index" else checkpoint
    if not index_of(prefix).is_file() and not prefix.is_file():
        raise InputError(
            f"{prefix}: no checkpoint, expected {prefix.name}.index and "
            f"{prefix.name}.data-00000-of-00001 there"
        )
    return prefix


def index_of(prefix: Path) -> Path:
    """Return the index file of a checkpoint; TensorFlow 1's first format has none."""
    return prefix.with_name(prefix.name + ".index")
