"""Functions of logits that keep the order of the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from intertwine.encoders.encoder import same_output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.numerics.arrays import Array


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


def leads_to(scores: Sequence[str], logits: Array, output: Array) -> bool:
    """Return whether functions by their names make an output of logits, both (n, …), over all classes.

    Without functions there is nothing to compare: a mean or a shape may lie between the two.
    """
    if not scores:
        return True
    values = logits.reshape(len(logits), -1).astype(np.float64)
    for name in scores:
        values = SCORES[name](values)
    return same_scores(values, output)


def same_scores(values: Array, output: Array, *, slack: float = 0.0) -> bool:
    """Return whether scores (n, K) are a network's output; `slack` is what its rounding may differ by."""
    if output.dtype.kind in "iu" or output.size != values.size:
        return False
    # Of one image at a time the axis of images may be gone.
    return same_output(values, output.reshape(values.shape), slack=slack)
