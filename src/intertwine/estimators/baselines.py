"""Lines that every map must beat: doing nothing, and always answering the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.estimators.normal import NormalEquations
from intertwine.maps.linear_map import LinearMap

if TYPE_CHECKING:
    from intertwine.moments.moments import Moments
    from intertwine.spaces import Space


def identity(source: Space, target: Space) -> LinearMap:
    """Return the map that does nothing, zero-padding or cutting where the dimensions differ."""
    return LinearMap(
        weight=np.eye(target.dim, source.dim),
        bias=np.zeros(target.dim),
        source=source,
        target=target,
        method="identity",
        info={"n": 0},
    )


def mean_vector(moments: Moments, source: str, target: str) -> LinearMap:
    """Return the map that answers the target's mean whatever it is given."""
    equations = NormalEquations(moments, source)
    shape = (moments.space(source).dim, moments.space(target).dim)
    return equations.build(np.zeros(shape), target, "mean")
