"""Affine maps between the embedding spaces of different neural networks.

>>> import numpy as np
>>> from intertwine import Moments, ridge
>>> rng = np.random.default_rng(0)
>>> a = rng.normal(size=(500, 3))
>>> moments = Moments({"a": 3, "b": 2})
>>> moments.update({"a": a, "b": a[:, :2] + 1})
>>> ridge(moments, "a", ["b"])["b"].apply(a).shape
(500, 2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine._moved import install
from intertwine.extras import lazy_names

if TYPE_CHECKING:
    from intertwine.estimators import (
        analytic,
        cca,
        identity,
        mean_vector,
        procrustes,
        reduced_rank,
        ridge,
    )
    from intertwine.features.feature_set import FeatureSet
    from intertwine.maps.linear_map import LinearMap
    from intertwine.maps.map_pair import MapPair, load_map
    from intertwine.moments.moments import Moments
    from intertwine.passes.moments.joint import joint_moments
    from intertwine.spaces import Head, Space
    from intertwine.studies.closed_set.study import ClosedSetResult, closed_set

# Where each public name lives. Names are imported when first used, so that `intertwine --help` does
# not wait for NumPy and SciPy.
_HOMES = {
    "ClosedSetResult": "studies.closed_set.study",
    "FeatureSet": "features.feature_set",
    "Head": "spaces",
    "LinearMap": "maps.linear_map",
    "MapPair": "maps.map_pair",
    "Moments": "moments.moments",
    "Space": "spaces",
    "analytic": "estimators",
    "cca": "estimators",
    "closed_set": "studies.closed_set.study",
    "identity": "estimators",
    "joint_moments": "passes.moments.joint",
    "load_map": "maps.map_pair",
    "mean_vector": "estimators",
    "procrustes": "estimators",
    "reduced_rank": "estimators",
    "ridge": "estimators",
}

__all__ = [
    "ClosedSetResult",
    "FeatureSet",
    "Head",
    "LinearMap",
    "MapPair",
    "Moments",
    "Space",
    "analytic",
    "cca",
    "closed_set",
    "identity",
    "joint_moments",
    "load_map",
    "mean_vector",
    "procrustes",
    "reduced_rank",
    "ridge",
]


__getattr__ = lazy_names(__name__, _HOMES)

# Names of the version before still lead to their modules.
install()
