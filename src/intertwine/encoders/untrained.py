"""The untrained control: fresh weights in the place of trained ones.

A library that can draw its own networks' weights does so. In a graph that can be read, convolutions
and fully connected layers, the head included, are drawn He-normal: variance 2 / fan-in (He, Zhang,
Ren & Sun, *Delving deep into rectifiers*, 2015). Their biases become zero, normalising layers their
usual start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.numerics.arrays import Array

# A batch normalisation's inputs 1…: scale, shift, mean, variance.
BATCH_NORM_START = (1.0, 0.0, 0.0, 1.0)


def he_normal(generator: np.random.Generator, trained: Array, fan_in: int) -> Array:
    """Return fresh weights of the shape and type of trained ones."""
    scale = np.sqrt(2 / max(1, fan_in))
    drawn = generator.standard_normal(trained.shape) * scale
    return np.asarray(drawn, trained.dtype)


def cannot_redraw(where: str, what: str) -> InputError:
    """Return the error for weights that cannot be drawn."""
    return InputError(f"{where}: weights=random cannot redraw {what}")


def require_drawn(drawn: Mapping[str, Array], where: str) -> None:
    """Raise where no layer was found to draw."""
    if not drawn:
        raise InputError(f"{where}: weights=random found no layer with constant weights to redraw")
