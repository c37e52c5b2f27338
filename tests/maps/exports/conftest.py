"""A map and vectors for every form of export."""

from __future__ import annotations

import numpy as np
import pytest

from intertwine.maps.linear_map import LinearMap
from intertwine.spaces import Space


@pytest.fixture
def linear_map():
    """Return a map from 7 to 5 dimensions whose weights float32 cannot hold exactly."""
    rng = np.random.default_rng(0)
    return LinearMap(
        rng.standard_normal((5, 7)), rng.standard_normal(5), Space("a", 7), Space("b", 5), "drawn"
    )


@pytest.fixture
def vectors():
    """Return (20, 7) float32 vectors."""
    return np.random.default_rng(1).standard_normal((20, 7), np.float32)


@pytest.fixture(params=[False, True], ids=["plain", "unit"])
def unit(request):
    """Return whether results are scaled to length 1."""
    return request.param


@pytest.fixture
def expected(linear_map, vectors, unit):
    """Return what `LinearMap.apply` makes of the vectors in float64, scaled where asked for."""
    mapped = linear_map.apply(vectors.astype(np.float64))
    return mapped / np.linalg.norm(mapped, axis=1, keepdims=True) if unit else mapped


@pytest.fixture
def large_map():
    """Return a map whose weights are beyond float32."""
    return LinearMap(np.full((5, 7), 1e39), np.zeros(5), Space("a", 7), Space("b", 5), "drawn")
