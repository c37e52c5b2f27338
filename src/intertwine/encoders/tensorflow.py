"""Reading TensorFlow checkpoints: the variables by name, or by their place in the object graph.

A Keras 2 model's `save_weights(path)` writes `path.index` and `path.data-…`, whose entry
`_CHECKPOINTABLE_OBJECT_GRAPH` says which object owns which variable, and how the variable was
called. TensorFlow 1 wrote variables by name, in such files or, before, in one file `path`.
TensorFlow reads the bytes; nothing in a checkpoint is run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.numerics.arrays import Array

EXTRA = "tensorflow"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True)
class Variable:
    """A variable of a checkpoint.

    Parameters
    ----------
    path
        Its place in the object graph, such as `layer_with_weights-0/kernel`.
    name
        What it was called when it was made, such as `Conv1/kernel`.
    value
        Its value.
    """

    path: str
    name: str
    value: Array


def read_variables(prefix: Path, *, left_out: tuple[str, ...] = ()) -> list[Variable]:
    """Return the variables of a checkpoint, an optimiser's own left out.

    Parameters
    ----------
    prefix
        What its files begin with; see `checkpoint_prefix`.
    left_out
        Beginnings of paths whose variables are not wanted either.

    Raises
    ------
    FileFormatError
        When it is damaged, or not one of objects.
    MissingExtraError
        When TensorFlow is not installed.
    """
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
        found = [
            Variable(
                attribute.checkpoint_key.removesuffix(_SUFFIX),
                attribute.full_name,
                np.asarray(reader.get_tensor(attribute.checkpoint_key)),
            )
            for node in graph.nodes
            for attribute in node.attributes
            if _is_models_own(attribute.checkpoint_key)
            and not attribute.checkpoint_key.startswith(left_out)
        ]
    except (tf.errors.OpError, decode_error, ValueError, RuntimeError) as error:
        raise FileFormatError(f"{prefix}: not a readable checkpoint ({error})") from error
    return found


def read_named(prefix: Path) -> dict[str, Array]:
    """Return the variables of a checkpoint by the names that TensorFlow 1 gave them.

    Parameters
    ----------
    prefix
        What its files begin with, or its one file; see `checkpoint_prefix`.

    Raises
    ------
    FileFormatError
        When it is damaged.
    MissingExtraError
        When TensorFlow is not installed.
    """
    tf = import_tensorflow()
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = sorted(reader.get_variable_to_shape_map())
        return {name: np.asarray(reader.get_tensor(name)) for name in names}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise FileFormatError(f"{prefix}: not a readable checkpoint ({error})") from error


def import_tensorflow() -> Any:
    """Import TensorFlow, quiet on standard error, or say which pip line brings it.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    """
    # Read once, at its import.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return import_extra("tensorflow", EXTRA)


def _is_models_own(key: str) -> bool:
    return (
        key.endswith(_SUFFIX)
        and ".OPTIMIZER_SLOT" not in key
        and not key.startswith(("optimizer/", "save_counter/"))
    )


def checkpoint_prefix(checkpoint: Path) -> Path:
    """Return the path that a checkpoint's files begin with.

    Parameters
    ----------
    checkpoint
        That path itself, the `.index` file, the one file of TensorFlow 1's first format, or a
        folder whose latest checkpoint is taken.

    Raises
    ------
    InputError
        When there is no checkpoint.
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
