"""Functions on arrays in memory: measures of similarity, all of them at once, and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.extras import lazy_names

if TYPE_CHECKING:
    from intertwine.arrays.fitting import fit
    from intertwine.arrays.measures import (
        cca,
        cka,
        mutual_knn,
        procrustes_distance,
        pwcca,
        r2,
        rsa,
        svcca,
    )
    from intertwine.arrays.scores import ArraySimilarity, Score, similarity

_HOMES = {
    "ArraySimilarity": "scores",
    "Score": "scores",
    "cca": "measures",
    "cka": "measures",
    "fit": "fitting",
    "mutual_knn": "measures",
    "procrustes_distance": "measures",
    "pwcca": "measures",
    "r2": "measures",
    "rsa": "measures",
    "similarity": "scores",
    "svcca": "measures",
}

__all__ = [
    "ArraySimilarity",
    "Score",
    "cca",
    "cka",
    "fit",
    "mutual_knn",
    "procrustes_distance",
    "pwcca",
    "r2",
    "rsa",
    "similarity",
    "svcca",
]

__getattr__ = lazy_names(__name__, _HOMES)
