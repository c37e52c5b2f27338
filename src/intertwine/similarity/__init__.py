"""Similarity of spaces: moments, or a sample of rows, in; numbers out. One file a family.

From joint moments, exactly, at any number of rows: `linear_cka`, `canonical_correlations`,
`cca_mean`, `svcca`, `pwcca`, `angular_distance`, `procrustes_distance`, `r_squared`. From rows, in
blocks: `rbf_cka`, `mutual_knn`, `cknna`, `rsa`, each of two `RowView`s.
"""

from intertwine.similarity.canonical import canonical_correlations, cca_mean, pwcca, svcca
from intertwine.similarity.cka import linear_cka, linear_cka_null
from intertwine.similarity.estimate import Estimate
from intertwine.similarity.measures import MEASURES
from intertwine.similarity.neighbours import cknna, mutual_knn
from intertwine.similarity.pairwise import RowView
from intertwine.similarity.predictivity import r_squared
from intertwine.similarity.rbf_cka import rbf_cka
from intertwine.similarity.rsa import rsa
from intertwine.similarity.shape import angular_distance, procrustes_distance

__all__ = [
    "MEASURES",
    "Estimate",
    "RowView",
    "angular_distance",
    "canonical_correlations",
    "cca_mean",
    "cknna",
    "linear_cka",
    "linear_cka_null",
    "mutual_knn",
    "procrustes_distance",
    "pwcca",
    "r_squared",
    "rbf_cka",
    "rsa",
    "svcca",
]
