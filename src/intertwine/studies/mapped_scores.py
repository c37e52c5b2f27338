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


class MappedScores:
    """Scores of pairs, the first image through a mapped source and the second through the target.

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
    """

    def __init__(
        self, data: VerificationSet, fitted: LinearMap | MapPair, source: str, target: str
    ) -> None:
        self.data = data
        left = fitted.source if isinstance(fitted, MapPair) else fitted
        self._images, self._row_of = np.unique(data.first, return_inverse=True)
        # Normalised once an image, not once a pair: the score is then a plain product.
        self._left = directions(data.features[source][self._images] @ left.weight.T + left.bias)
        self._right = data.features[target]
        if isinstance(fitted, MapPair):
            right = fitted.target
            self._right = directions(self._right @ right.weight.T + right.bias)

    def of(self, pairs: Array) -> Array:
        """Return the scores of some pairs, (k,); 0 where a mapped image has no direction."""
        left, right = self._left[self._row_of[pairs]], self._right[self.data.second[pairs]]
        return np.asarray(np.einsum("ij,ij->i", left, right))
