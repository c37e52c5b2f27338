"""Affine maps between the embedding spaces of different neural networks.

Arrays are (n, d), of any library; row i of every array is the same sample.

==================================================  =================================================
for                                                 use
==================================================  =================================================
one number: how similar are two arrays              `cka(x, y)`, `cca`, `svcca`, `pwcca`, `r2`,
                                                    `procrustes_distance`, `mutual_knn`, `rsa`
every measure, with intervals and nulls             `similarity(x, y)`
a map from one space to another                     `fit(x, y)`, then `map(x)`, `map.save(file)`
a map from a file                                   `load_map(file)`
several spaces over the same rows                   `FeatureSet.from_arrays({"a": x, "b": y})`,
                                                    `FeatureSet.open(folder)`
features from images or texts                       `open_encoder(uri)`, or `intertwine extract`
classifiers fed with another network's features     `closed_set(fit, evaluation)`
people verified across networks                     `open_set(features, read_pairs(file))`,
                                                    pairs in memory by `PairList.of`
a database of templates linked                      `linkage(gallery, probe)`
every pair of spaces compared                       `similarity(features)`
a vector store before it moves to a new model       `plan(features, "old", "new")`
a vector store moved                                `migrate(store, target, map_file)`
one query at a time, mapped                         `QueryBridge(map)`
statistics that add up over chunks and machines     `Moments`, `joint_moments(features)`
a method of fitting, from moments                   `ridge`, `procrustes`, `reduced_rank`, `cca`,
                                                    `analytic`, `identity`, `mean_vector`
scikit-learn's Pipeline and GridSearchCV            `intertwine.estimators.sklearn`
a map in another program                            `intertwine.maps.exports`
==================================================  =================================================

The same from a shell: `intertwine --help`.

>>> import numpy as np
>>> import intertwine
>>> x = np.random.default_rng(0).normal(size=(500, 3))
>>> y = x[:, :2] + 1
>>> intertwine.fit(x, y, alpha=0)
<LinearMap x (3) → y (2): ridge, λ 0, n 500, R² held out 1.000 (shuffled rows −0.010)>
>>> round(intertwine.cka(x, x + 1), 6)
1.0
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from intertwine._moved import install
from intertwine.extras import DISTRIBUTION, lazy_names

if TYPE_CHECKING:
    from intertwine.arrays import (
        cca,
        cka,
        fit,
        mutual_knn,
        procrustes_distance,
        pwcca,
        r2,
        rsa,
        similarity,
        svcca,
    )
    from intertwine.encoders.registry import open_encoder
    from intertwine.errors import InputError, IntertwineError
    from intertwine.estimators import (
        FitOptions,
        analytic,
        identity,
        mean_vector,
        procrustes,
        reduced_rank,
        ridge,
    )
    from intertwine.features.feature_set import FeatureSet
    from intertwine.maps.exports.bridge import QueryBridge
    from intertwine.maps.linear_map import LinearMap
    from intertwine.maps.map_pair import MapPair, load_map
    from intertwine.moments.moments import Moments
    from intertwine.passes.migrate.run import MigrateOptions, migrate
    from intertwine.passes.moments.joint import joint_moments
    from intertwine.spaces import Head, Space
    from intertwine.studies.closed_set.study import ClosedSetResult, closed_set
    from intertwine.studies.linkage.study import linkage
    from intertwine.studies.open_set.options import OpenSetOptions
    from intertwine.studies.open_set.pairs import PairList, read_pairs
    from intertwine.studies.open_set.study import open_set
    from intertwine.studies.plan.options import PlanOptions
    from intertwine.studies.plan.study import plan
    from intertwine.studies.similarity.study import SimilarityOptions

    __version__: str

# Where each public name lives. Names are imported when first used, so that `intertwine --help` does
# not wait for NumPy and SciPy.
_HOMES = {
    "ClosedSetResult": "studies.closed_set.study",
    "FeatureSet": "features.feature_set",
    "FitOptions": "estimators",
    "Head": "spaces",
    "InputError": "errors",
    "IntertwineError": "errors",
    "LinearMap": "maps.linear_map",
    "MapPair": "maps.map_pair",
    "MigrateOptions": "passes.migrate.run",
    "Moments": "moments.moments",
    "OpenSetOptions": "studies.open_set.options",
    "PairList": "studies.open_set.pairs",
    "PlanOptions": "studies.plan.options",
    "QueryBridge": "maps.exports.bridge",
    "SimilarityOptions": "studies.similarity.study",
    "Space": "spaces",
    "analytic": "estimators",
    "cca": "arrays",
    "cka": "arrays",
    "closed_set": "studies.closed_set.study",
    "fit": "arrays",
    "identity": "estimators",
    "joint_moments": "passes.moments.joint",
    "linkage": "studies.linkage.study",
    "load_map": "maps.map_pair",
    "mean_vector": "estimators",
    "migrate": "passes.migrate.run",
    "mutual_knn": "arrays",
    "open_encoder": "encoders.registry",
    "open_set": "studies.open_set.study",
    "plan": "studies.plan.study",
    "procrustes": "estimators",
    "procrustes_distance": "arrays",
    "pwcca": "arrays",
    "r2": "arrays",
    "read_pairs": "studies.open_set.pairs",
    "reduced_rank": "estimators",
    "ridge": "estimators",
    "rsa": "arrays",
    "svcca": "arrays",
}

__all__ = [
    "ClosedSetResult",
    "FeatureSet",
    "FitOptions",
    "Head",
    "InputError",
    "IntertwineError",
    "LinearMap",
    "MapPair",
    "MigrateOptions",
    "Moments",
    "OpenSetOptions",
    "PairList",
    "PlanOptions",
    "QueryBridge",
    "SimilarityOptions",
    "Space",
    "analytic",
    "cca",
    "cka",
    "closed_set",
    "fit",
    "identity",
    "joint_moments",
    "linkage",
    "load_map",
    "mean_vector",
    "migrate",
    "mutual_knn",
    "open_encoder",
    "open_set",
    "plan",
    "procrustes",
    "procrustes_distance",
    "pwcca",
    "r2",
    "read_pairs",
    "reduced_rank",
    "ridge",
    "rsa",
    "similarity",
    "svcca",
]

_find = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(DISTRIBUTION)
    if name == "similarity":
        # Importing a room makes it this package's attribute.
        return import_module("intertwine.similarity")
    return _find(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _CallableRoom(ModuleType):
    """The room `intertwine.similarity`, whose name is that of a function on arrays too."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from intertwine import arrays

        return arrays.similarity(*args, **kwargs)

    @property
    def __signature__(self) -> Any:
        from inspect import signature

        from intertwine import arrays

        return signature(arrays.similarity)


class _Package(ModuleType):
    """The package, which makes its room `similarity` callable, whoever imports that."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "similarity" and type(value) is ModuleType:
            value.__class__ = _CallableRoom
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

# Names of the version before still lead to their modules.
install()
