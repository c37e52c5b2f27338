"""Canonical correlation analysis (CCA) as a similarity: mean correlation, spectrum, SVCCA, PWCCA.

With S = V diag(s) Vᵀ of each space, the canonical correlations are the singular values of
K = diag(s_A + λ)^(−1/2) V_Aᵀ S_AB V_B diag(s_B + λ)^(−1/2). Hotelling, *Relations between two sets
of variates*, Biometrika 28 (1936); with λ, Vinod, Journal of Econometrics 4 (1976).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.numerics.arrays import of_no_arrays
from intertwine.numerics.linalg import root_of_product, singular_values, singular_vectors
from intertwine.similarity.spectrum import Spectrum, spectrum_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array

VARIANCE = 0.99
# Canonical correlations that differ by less are equal …
_TIE = 1e-10
# … and PWCCA is undetermined where the basis chosen for equal ones could change it by more.
_PLAY = 1e-6

Spectra = dict[str, Spectrum]


@dataclass(frozen=True)
class CanonicalPair:
    """The canonical correlations of two spaces and their directions, factored once.

    `alpha` is λ of both sides, in the sum form that ridge has; `whitened` (rank_a, rank_b) the
    whitened cross-scatter K; `rho` (k,) the canonical correlations, descending, k = min(rank_a,
    rank_b); `left` (rank_a, k) and `right` (rank_b, k) the singular vectors of K; `rounding` what
    rounding may leave a correlation of 1 short of it.
    """

    a: Spectrum
    b: Spectrum
    alpha: float
    whitened: Array
    rho: Array
    left: Array
    right: Array
    rounding: float = _TIE

    @classmethod
    def of(
        cls,
        moments: Moments,
        a: str,
        b: str,
        *,
        alpha: float = 0.0,
        spectra: Spectra | None = None,
        quick: bool = False,
    ) -> CanonicalPair:
        """Factor a pair; the parameters are those of `canonical_correlations`.

        With `quick`, correlations below 1e-8 of the largest may be lost (see `singular`).
        """
        if not (np.isfinite(alpha) and alpha >= 0):
            raise InputError(f"got alpha {alpha}, expected a number of at least 0")
        left, right = spectrum_of(moments, a, spectra), spectrum_of(moments, b, spectra)
        cross = left.vectors.T @ moments.scatter(a, b) @ right.vectors
        whitened = cross / root_of_product((left.values + alpha)[:, None], right.values + alpha)
        u, rho, v = singular_vectors(whitened, quick=quick)
        rho = np.clip(rho, 0.0, 1.0)  # a correlation; only rounding exceeds one
        rounding = max(_TIE, 64 * moments.eps)
        return cls(left, right, float(alpha), whitened, rho, u, v, rounding)

    def svcca(self, k_a: int, k_b: int, *, quick: bool = False) -> float:
        """Return the mean canonical correlation of the leading k_a and k_b components alone."""
        # λ is CCA's; components that are kept need none.
        plain = np.sqrt(np.outer(1 + self.alpha / self.a.values, 1 + self.alpha / self.b.values))
        rho = singular_values((self.whitened * plain)[:k_a, :k_b], quick=quick)
        return float(np.clip(rho, 0.0, 1.0).mean())

    def pwcca(self, *, swapped: bool = False) -> float:
        """Return PWCCA with the weights of a, or of b when `swapped`.

        InputError where equal correlations leave it undetermined.
        """
        side, directions = (self.b, self.right) if swapped else (self.a, self.left)
        weights = projection_weights(side, directions, self.alpha)
        score = float(weights @ self.rho / weights.sum())
        tied = [block for block in self.ties() if block.stop - block.start > 1]
        if tied and tied[0] != slice(0, len(self.rho)):
            shown = _projections(side, directions, self.alpha)
            if _play(weights, self.rho, shown, tied, score) > max(_PLAY, 16 * self.rounding):
                raise InputError(self._undetermined(side.name, tied))
        return score

    @property
    def forced(self) -> int:
        """How many correlations are 1 because n − 1 dimensions hold no more than they do."""
        return 0 if self.alpha else max(self.a.rank + self.b.rank - (self.a.n - 1), 0)

    def ties(self) -> list[slice]:
        """Return the blocks of equal canonical correlations, in their order."""
        ones = max(self.forced, int((self.rho >= 1 - self.rounding).sum()))
        ends = np.flatnonzero(-np.diff(self.rho) > _TIE) + 1
        edges = sorted({0, min(ones, len(self.rho)), *(ends[ends > ones].tolist()), len(self.rho)})
        return [slice(*ends) for ends in itertools.pairwise(edges)]

    def _undetermined(self, name: str, tied: Sequence[slice]) -> str:
        """Return why PWCCA with a space's weights is no number."""
        block = max(tied, key=lambda each: each.stop - each.start)
        few = ""
        if self.forced:
            few = f" (n − 1 = {self.a.n - 1} is below the ranks' sum, {self.a.rank + self.b.rank})"
        return (
            f"{block.stop - block.start} of {len(self.rho)} canonical correlations are "
            f"{self.rho[block.start]:.4g}{few}: how {name} weighs them is not determined"
        )


def projection_weights(side: Spectrum, directions: Array, alpha: float = 0.0) -> Array:
    """Return ``α_i = Σ_j |⟨h_i, x_j⟩|``, (k,): how much of the space a canonical variate holds.

    h_i = X V diag(s + λ)^(−1/2) u_i is a variate over rows, u_i one of the (rank, k) unit
    directions in whitened principal coordinates, and x_j the j-th feature over rows, so that ⟨h_i,
    x_j⟩ is entry j of V diag(s / √(s + λ)) u_i: no row is needed.
    """
    return np.asarray(np.abs(_projections(side, directions, alpha)).sum(axis=0))


def _projections(side: Spectrum, directions: Array, alpha: float) -> Array:
    """Return ⟨h_i, x_j⟩ of every feature j and variate i, (d, k)."""
    scale = side.values / np.sqrt(side.values + alpha)
    return np.asarray(side.vectors @ (scale[:, None] * directions))


def _play(
    weights: Array, rho: Array, projections: Array, tied: Sequence[slice], score: float
) -> float:
    """Return how far PWCCA may move as the variates of equal correlations are turned.

    A block of m variates weighs Σ_j ‖p_j‖₁, p_j its projections on feature j: between Σ_j ‖p_j‖₂ and
    √m times that in any basis.
    """
    ends = []
    for up in (True, False):
        turned = weights.copy()
        for block in tied:
            least = float(np.linalg.norm(projections[:, block], axis=1).sum())
            m = block.stop - block.start
            whole = least * np.sqrt(m) if (rho[block.start] > score) == up else least
            turned[block] = whole / m
        ends.append(float(turned @ rho / turned.sum()))
    return ends[0] - ends[1]


@of_no_arrays("joint Moments", "intertwine.cca(x, y)")
def canonical_correlations(
    moments: Moments, a: str, b: str, *, alpha: float = 0.0, spectra: Spectra | None = None
) -> Array:
    """Return the canonical correlations of two spaces.

    Parameters
    ----------
    moments
        Joint moments that hold both spaces.
    a, b
        Names of the spaces.
    alpha
        λ ≥ 0 added to both scatters; 0 is plain CCA.
    spectra
        Factorisations to use and to add to, when many pairs are wanted.

    Returns
    -------
    rho
        (min(rank_a, rank_b),) descending, each 0 … 1, larger is more similar. Unchanged by any
        invertible affine map of either space (λ = 0). Where n ≤ rank they are all 1, always.

    Raises
    ------
    InputError
        For an unknown space, one that does not vary, or a bad λ.
    """
    return CanonicalPair.of(moments, a, b, alpha=alpha, spectra=spectra).rho


@of_no_arrays("joint Moments", "intertwine.cca(x, y)")
def cca_mean(
    moments: Moments, a: str, b: str, *, alpha: float = 0.0, spectra: Spectra | None = None
) -> float:
    """Return the mean canonical correlation, over min(rank_a, rank_b) of them.

    Parameters and errors are those of `canonical_correlations`. 0 … 1, larger is more similar.
    """
    return float(canonical_correlations(moments, a, b, alpha=alpha, spectra=spectra).mean())


@of_no_arrays("joint Moments", "intertwine.svcca(x, y)")
def svcca(
    moments: Moments,
    a: str,
    b: str,
    *,
    variance: float = VARIANCE,
    spectra: Spectra | None = None,
) -> float:
    """Return SVCCA: the mean canonical correlation of each space's leading principal components.

    Raghu, Gilmer, Yosinski & Sohl-Dickstein, *SVCCA: Singular vector canonical correlation analysis
    for deep learning dynamics and interpretability*, NeurIPS 2017.

    Parameters
    ----------
    moments
        Joint moments that hold both spaces.
    a, b
        Names of the spaces.
    variance
        Share of each space's variance that its components must hold; the fewest that do are kept.
        Variance is the sum of eigenvalues of the scatter, not of singular values of the features.
    spectra
        Factorisations to use and to add to.

    Returns
    -------
    svcca
        0 … 1, larger is more similar. Unchanged by shifts, rotations and one scale.

    Raises
    ------
    InputError
        For a share outside 0 … 1, an unknown space, or one that does not vary.
    """
    check_variance(variance)
    pair = CanonicalPair.of(moments, a, b, spectra=spectra)
    return pair.svcca(pair.a.components(variance), pair.b.components(variance))


def check_variance(variance: float) -> None:
    """Raise InputError unless a share of variance is above 0 and at most 1."""
    if not 0 < variance <= 1:
        raise InputError(f"got variance {variance}, expected a share above 0 and at most 1")


@of_no_arrays("joint Moments", "intertwine.pwcca(x, y)")
def pwcca(
    moments: Moments,
    source: str,
    target: str,
    *,
    alpha: float = 0.0,
    spectra: Spectra | None = None,
) -> float:
    """Return projection-weighted CCA (PWCCA), the weights taken from the source.

    ``Σ α_i ρ_i / Σ α_i`` with ``α_i = Σ_j |⟨h_i, x_j⟩|`` over the source's canonical variates h_i and its
    features x_j. Morcos, Raghu & Bengio, *Insights on representational similarity in neural
    networks with canonical correlation*, NeurIPS 2018, section 3.

    Parameters
    ----------
    moments
        Joint moments that hold both spaces.
    source, target
        Names of the spaces; the number differs with the direction.
    alpha
        λ of both sides.
    spectra
        Factorisations to use and to add to.

    Returns
    -------
    pwcca
        0 … 1, larger is more similar. Unchanged by any invertible affine map of the target, and by
        shifts and one scale of the source; a rotation of the source changes the weights.

    Raises
    ------
    InputError
        For an unknown space, one that does not vary, or a bad λ; and where several canonical
        correlations are equal but not all, as are those that are 1 where n − 1 is below
        rank_a + rank_b: the variates of equal ones may be turned, and their weights with them.
    """
    return CanonicalPair.of(moments, source, target, alpha=alpha, spectra=spectra).pwcca()
