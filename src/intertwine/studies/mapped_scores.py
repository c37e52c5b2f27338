"""Cosine scores of verification pairs across two spaces, one of them mapped or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.map_pair import MapPair

if TYPE_CHECKING:
    from intertwine.arrays import Array
    from intertwine.linear_map import LinearMap
    from intertwine.studies.verification_set import VerificationSet


def directions(rows: Array) -> Array:
    """Return rows scaled to norm 1, (n, d); a zero row, which has no direction, stays zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0))


def native_scores(data: VerificationSet, name: str) -> Array:
    """Return each pair's score within one space, (n_pairs,)."""
    features = data.features[name]
    return np.asarray(np.einsum("ij,ij->i", features[data.first], features[data.second]))


def mapped_scores(
    data: VerificationSet,
    fitted: LinearMap | MapPair,
    source: str,
    target: str,
    pairs: Array,
) -> Array:
    """Return scores of pairs, the first image through a mapped source, the second as the target.

    With f on the unit sphere the score is ⟨M f_A(x₁), f_B(x₂)⟩ / ‖M f_A(x₁)‖, one minus the distance
    of McNeely-White et al. (2020), section 4; M f is normalised nowhere else. With a pair of maps
    both sides are mapped, and both norms divide.

    Parameters
    ----------
    data
        Features and pairs.
    fitted
        The map, or pair of maps.
    source, target
        Names of the spaces.
    pairs
        (k,) pair numbers; no other pair's images are mapped.

    Returns
    -------
    scores
        (k,); 0 where a mapped image has no direction.
    """
    first, second = data.first[pairs], data.second[pairs]
    if isinstance(fitted, MapPair):
        left = _mapped(data.features[source], fitted.source, first)
        right = _mapped(data.features[target], fitted.target, second)
    else:
        left = _mapped(data.features[source], fitted, first)
        right = data.features[target][second]
    return np.asarray(np.einsum("ij,ij->i", left, right))


def _mapped(features: Array, linear_map: LinearMap, images: Array) -> Array:
    """Return mapped images of norm 1, (k, d); each is mapped and normalised once."""
    unique, row_of = np.unique(images, return_inverse=True)
    rows = linear_map.prepared(features[unique])
    return directions(rows @ linear_map.weight.T + linear_map.bias)[row_of]
