"""TF-slim's variables of Inception-v2 under the names and in the order of axes that torch has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.arrays import Array

_ROOT = "InceptionV2/"
# What a variable's name ends with, and what torch calls that weight of the layer.
_WEIGHTS = {
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
        found = _torch_name(name)
        if found is None:
            raise FileFormatError(
                f"{where}: variable {name} has no place in this network; "
                "expected a checkpoint of TF-slim's inception_v2"
            )
        tensors[found] = np.ascontiguousarray(_in_order(found, value), np.float32)
    return tensors


def _torch_name(name: str) -> str | None:
    if name in _LOGITS:
        return _LOGITS[name]
    for suffix, weight in _WEIGHTS.items():
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
