"""The pass that turns a TensorFlow checkpoint into weights for torch.

Of arcface-tf2: the project's model has three parts with weights, in this order: the backbone of
`keras.applications`, whose layers have fixed names; the output layer, whose layers are numbered by
Keras as they come and are known by their place; and, if it was saved in training, the classifier
of the training identities, which is left out. Of TF-slim: Inception-v2, whose variables are known
by their names (`slim_weights.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.faces.arcface import ARCHITECTURES, architecture
from intertwine.encoders.tensorflow import (
    Variable,
    checkpoint_prefix,
    index_of,
    read_named,
    read_variables,
)
from intertwine.encoders.torch.weights import EXTRA, check_state
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.storage.files import sha256_file, sha256_tensors, write_tensors

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from intertwine.numerics.arrays import Array

_ROOT = "InceptionV2/"
# What a variable's name ends with, and what torch calls that weight of the layer.
_SLIM_WEIGHTS = {
    "/weights": "conv.weight",
    "/BatchNorm/beta": "norm.bias",
    "/BatchNorm/moving_mean": "norm.running_mean",
    "/BatchNorm/moving_variance": "norm.running_var",
    "/depthwise_weights": "depthwise.weight",
    "/pointwise_weights": "pointwise.weight",
    "/biases": "pointwise.bias",
}
_LOGITS = {
    f"{_ROOT}Logits/Conv2d_1c_1x1/weights": "logits.weight",
    f"{_ROOT}Logits/Conv2d_1c_1x1/biases": "logits.bias",
}
# What training leaves in a checkpoint beside the network.
_COUNTERS = {"global_step", "beta1_power", "beta2_power"}
_SLOTS = (
    "/Adam",
    "/Adam_1",
    "/ExponentialMovingAverage",
    "/Momentum",
    "/RMSProp",
    "/RMSProp_1",
)


def is_of_training(name: str) -> bool:
    """Return whether a variable is a counter or an optimiser's, and no weight of the network."""
    return name in _COUNTERS or name.endswith(_SLOTS)


def slim_weights(variables: Mapping[str, Array], *, where: str) -> dict[str, Array]:
    """Return slim's variables as the weights of `architectures.inception_v2.InceptionV2`.

    Parameters
    ----------
    variables
        Those of the network by name, such as `InceptionV2/Conv2d_2c_3x3/weights`.
    where
        What to call the checkpoint in an error.

    Raises
    ------
    FileFormatError
        When a variable has no place in such a network.
    """
    tensors: dict[str, Array] = {}
    for name, value in variables.items():
        found = _slim_torch_name(name)
        if found is None:
            raise FileFormatError(
                f"{where}: variable {name} has no place in this network; "
                "expected a checkpoint of TF-slim's inception_v2"
            )
        tensors[found] = np.ascontiguousarray(_in_order(found, value), np.float32)
    return tensors


def _slim_torch_name(name: str) -> str | None:
    if name in _LOGITS:
        return _LOGITS[name]
    for suffix, weight in _SLIM_WEIGHTS.items():
        if name.startswith(_ROOT) and name.endswith(suffix):
            layer = name.removeprefix(_ROOT).removesuffix(suffix)
            return f"{layer.replace('/', '.')}.{weight}"
    return None


def _in_order(name: str, value: Array) -> Array:
    """Return a kernel with its output channels first, as torch has them."""
    if value.ndim != 4:
        return value
    if name.endswith("depthwise.weight"):
        # Outputs stand in groups by their input channel, in both libraries.
        turned = value.transpose(2, 3, 0, 1)
        return turned.reshape(-1, 1, *value.shape[:2])
    turned = value.transpose(3, 2, 0, 1)
    return turned.reshape(len(turned), -1) if name == "logits.weight" else turned


SLIM = "inception-v2"
NETWORKS = (*ARCHITECTURES, SLIM)

_PART = "layer_with_weights-"
_BACKBONE, _OUTPUT, _CLASSIFIER = (f"{_PART}{index}/" for index in range(3))
_OUTPUT_LAYERS = {
    f"{_OUTPUT}{_PART}0": "output.norm_in",
    f"{_OUTPUT}{_PART}1": "output.dense",
    f"{_OUTPUT}{_PART}2": "output.norm_out",
}
_WEIGHTS = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# Keras has input channels before output channels, and both last.
_AXES = {("kernel", 4): (3, 2, 0, 1), ("depthwise_kernel", 4): (2, 3, 0, 1), ("kernel", 2): (1, 0)}


def convert_checkpoint(
    checkpoint: str | os.PathLike[str], out: str | os.PathLike[str], *, arch: str
) -> dict[str, Any]:
    """Write the weights of a checkpoint as a file that `arcface:` or `inception-v2:` opens.

    Parameters
    ----------
    checkpoint
        The prefix of its files, its `.index` file, the one file that TensorFlow 1 wrote, or a
        folder whose latest checkpoint is taken.
    out
        The `.safetensors` file to write.
    arch
        `mobilenet-v2` or `resnet-50` of arcface-tf2, or `inception-v2` of TF-slim.

    Returns
    -------
    summary
        JSON-ready: `out`, `architecture`, `tensors`, `weights` (how many numbers), `source`.

    Raises
    ------
    InputError
        When there is no checkpoint, the architecture is unknown, or `out` is no `.safetensors`.
    FileFormatError
        When the checkpoint is damaged or of another network.
    MissingExtraError
        When TensorFlow or torch is not installed.
    """
    out = Path(out)
    if arch not in NETWORKS:
        raise InputError(f"got --arch {arch}, expected one of {', '.join(NETWORKS)}")
    if out.suffix != ".safetensors":
        raise InputError(f"got {out} to write, expected a name that ends in .safetensors")
    prefix = checkpoint_prefix(Path(checkpoint))
    where = f"{prefix} as {arch}"
    if arch == SLIM:
        import_extra("torch", EXTRA)
        from intertwine.encoders.inception_v2.net import InceptionV2

        named = read_named(prefix)
        variables = {name: v for name, v in named.items() if not is_of_training(name)}
        tensors = slim_weights(variables, where=where)
        check_state(InceptionV2(), tensors, where=where)
        source = _source("TF-slim", prefix, variables)
    else:
        make = architecture(arch)
        owned = read_variables(prefix, left_out=(_CLASSIFIER,))
        tensors = torch_weights(owned, where=where)
        check_state(make(), tensors, where=where)
        source = _source("arcface-tf2", prefix, {v.path: v.value for v in owned})
    write_tensors(out, tensors, kind="weights", header={"architecture": arch, "source": source})
    return {
        "out": str(out),
        "architecture": arch,
        "tensors": len(tensors),
        "weights": int(sum(tensor.size for tensor in tensors.values())),
        "source": source,
    }


def _source(project: str, prefix: Path, variables: Mapping[str, Array]) -> dict[str, str]:
    index = index_of(prefix)
    said = "index_sha256" if index.is_file() else "file_sha256"
    return {
        "format": f"TensorFlow checkpoint of {project}",
        "checkpoint": prefix.name,
        said: sha256_file(index if index.is_file() else prefix),
        "variables_sha256": sha256_tensors(variables, {}),
    }


def torch_weights(variables: Sequence[Variable], *, where: str) -> dict[str, Array]:
    """Return Keras variables under the names and in the order of axes that torch has.

    Parameters
    ----------
    variables
        Those of the backbone and the output layer.
    where
        What to call the checkpoint in an error.

    Raises
    ------
    FileFormatError
        When a variable has no place in such a network, or two have the same.
    """
    tensors: dict[str, Array] = {}
    for variable in variables:
        name = _torch_name(variable)
        if name is None or name in tensors:
            raise FileFormatError(
                f"{where}: variable {variable.name or variable.path} ({variable.path}) has no "
                "place in this network; expected a checkpoint of arcface-tf2's ArcFaceModel"
            )
        axes = _AXES.get((variable.path.rpartition("/")[2], variable.value.ndim))
        value = variable.value if axes is None else variable.value.transpose(axes)
        tensors[name] = np.ascontiguousarray(value, np.float32)
    return tensors


def _torch_name(variable: Variable) -> str | None:
    place, _, kind = variable.path.rpartition("/")
    if kind not in _WEIGHTS:
        return None
    if place.startswith(_BACKBONE):
        layer: str | None = variable.name.rpartition("/")[0]
    else:
        layer = _OUTPUT_LAYERS.get(place)
    return f"{layer}.{_WEIGHTS[kind]}" if layer else None
