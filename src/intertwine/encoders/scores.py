"""Functions of logits that keep the order of the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.arrays import Array


def softmax(logits: Array) -> Array:
    """Return softmax(z) of each row."""
    return np.asarray(special.softmax(logits, axis=1))


def log_softmax(logits: Array) -> Array:
    """Return log softmax(z) of each row."""
    return np.asarray(special.log_softmax(logits, axis=1))


def sigmoid(logits: Array) -> Array:
    """Return 1/(1 + e^−z)."""
    return np.asarray(special.expit(logits))


SCORES: dict[str, Callable[[Array], Array]] = {
    "LogSoftmax": log_softmax,
    "Sigmoid": sigmoid,
    "Softmax": softmax,
}
