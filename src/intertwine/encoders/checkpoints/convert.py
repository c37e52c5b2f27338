"""The pass that turns a TensorFlow checkpoint into weights for torch.

arcface-tf2's model has three parts with weights, in this order: the backbone of
`keras.applications`, whose layers have fixed names; the output layer, whose layers Keras numbers
in the order they are made and which are known by their place; and, if it was saved in training,
the classifier of the training identities, which is left out. TF-slim's Inception-v2 is one list of
variables, known by their names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.checkpoints.reading import (
    Variable,
    checkpoint_prefix,
    index_of,
    read_named,
    read_variables,
)
from intertwine.encoders.faces.arcface import ARCHITECTURES, architecture
from intertwine.encoders.torch.weights import EXTRA, check_state
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.storage.files import sha256_file, sha256_tensors, write_tensors

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from intertwine.numerics.arrays import Array

SLIM = "inception-v2"
NETWORKS = (*ARCHITECTURES, SLIM)


def convert_checkpoint(
    checkpoint: str | os.PathLike[str], out: str | os.PathLike[str], *, arch: str
) -> dict[str, Any]:
    """Write the weights of a checkpoint as a file that `arcface:` or `inception-v2:` opens.

    `checkpoint` is what `checkpoint_prefix` reads, `out` a `.safetensors` file, `arch` one of
    `NETWORKS`. The summary is JSON-ready: `out`, `architecture`, `tensors`, `weights` (how many
    numbers), `source`.
    """
    out = Path(out)
    if arch not in NETWORKS:
        raise InputError(f"got --arch {arch}, expected one of {', '.join(NETWORKS)}")
    if out.suffix != ".safetensors":
        raise InputError(f"got {out} to write, expected a name that ends in .safetensors")
    prefix = checkpoint_prefix(Path(checkpoint))
    tensors, source = (_slim if arch == SLIM else _arcface)(prefix, arch)
    write_tensors(out, tensors, kind="weights", header={"architecture": arch, "source": source})
    return {
        "out": str(out),
        "architecture": arch,
        "tensors": len(tensors),
        "weights": int(sum(tensor.size for tensor in tensors.values())),
        "source": source,
    }


def _slim(prefix: Path, arch: str) -> tuple[dict[str, Array], dict[str, str]]:
    import_extra("torch", EXTRA)
    from intertwine.encoders.inception_v2.net import InceptionV2

    where = f"{prefix} as {arch}"
    named = read_named(prefix)
    variables = {name: value for name, value in named.items() if not is_of_training(name)}
    tensors = slim_weights(variables, where=where)
    check_state(InceptionV2(), tensors, where=where)
    return tensors, _source("TF-slim", prefix, variables)


def _arcface(prefix: Path, arch: str) -> tuple[dict[str, Array], dict[str, str]]:
    where = f"{prefix} as {arch}"
    make = architecture(arch)
    variables = read_variables(prefix, left_out=(_CLASSIFIER,))
    tensors = arcface_weights(variables, where=where)
    check_state(make(), tensors, where=where)
    return tensors, _source("arcface-tf2", prefix, {v.path: v.value for v in variables})


def _source(project: str, prefix: Path, variables: Mapping[str, Array]) -> dict[str, str]:
    index = index_of(prefix)
    key = "index_sha256" if index.is_file() else "file_sha256"
    return {
        "format": f"TensorFlow checkpoint of {project}",
        "checkpoint": prefix.name,
        key: sha256_file(index if index.is_file() else prefix),
        "variables_sha256": sha256_tensors(variables, {}),
    }


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


def arcface_weights(variables: Sequence[Variable], *, where: str) -> dict[str, Array]:
    """Return the variables of arcface-tf2's backbone and output layer as torch names and orders them."""
    tensors: dict[str, Array] = {}
    for variable in variables:
        name = _arcface_name(variable)
        if name is None or name in tensors:
            raise FileFormatError(
                f"{where}: variable {variable.name or variable.path} ({variable.path}) has no "
                "place in this network; expected a checkpoint of arcface-tf2's ArcFaceModel"
            )
        axes = _AXES.get((variable.path.rpartition("/")[2], variable.value.ndim))
        value = variable.value if axes is None else variable.value.transpose(axes)
        tensors[name] = np.ascontiguousarray(value, np.float32)
    return tensors


def _arcface_name(variable: Variable) -> str | None:
    place, _, kind = variable.path.rpartition("/")
    if kind not in _WEIGHTS:
        return None
    if place.startswith(_BACKBONE):
        layer: str | None = variable.name.rpartition("/")[0]
    else:
        layer = _OUTPUT_LAYERS.get(place)
    return f"{layer}.{_WEIGHTS[kind]}" if layer else None


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
_SLIM_LOGITS = {
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
    """Return slim's variables, by names such as `InceptionV2/Conv2d_2c_3x3/weights`, for torch."""
    tensors: dict[str, Array] = {}
    for variable, value in variables.items():
        name = _slim_name(variable)
        if name is None:
            raise FileFormatError(
                f"{where}: variable {variable} has no place in this network; "
                "expected a checkpoint of TF-slim's inception_v2"
            )
        tensors[name] = np.ascontiguousarray(_outputs_first(name, value), np.float32)
    return tensors


def _slim_name(variable: str) -> str | None:
    if variable in _SLIM_LOGITS:
        return _SLIM_LOGITS[variable]
    for suffix, weight in _SLIM_WEIGHTS.items():
        if variable.startswith(_ROOT) and variable.endswith(suffix):
            layer = variable.removeprefix(_ROOT).removesuffix(suffix)
            return f"{layer.replace('/', '.')}.{weight}"
    return None


def _outputs_first(name: str, value: Array) -> Array:
    """Return a kernel with its output channels first, as torch has them."""
    if value.ndim != 4:
        return value
    if name.endswith("depthwise.weight"):
        # Outputs stand in groups by their input channel, in both libraries.
        turned = value.transpose(2, 3, 0, 1)
        return turned.reshape(-1, 1, *value.shape[:2])
    turned = value.transpose(3, 2, 0, 1)
    return turned.reshape(len(turned), -1) if name == "logits.weight" else turned
