"""The scores of unrelated spaces: the rotation null of CCA, SVCCA, PWCCA and the shape distance.

Turn the centred rows of B by a random rotation of the sample space (orthogonal to the vector of
ones). Both spectra stay; all that A and B had in common goes. With S = V diag(s) Vᵀ of each space
the cross-scatter becomes V_A diag(s_A)^(1/2) W diag(s_B)^(1/2) V_Bᵀ, W the (rank_A, rank_B) corner
of a Haar-random orthogonal matrix of order n − 1. So the null needs n and the two spectra only. It
is the distribution of unrelated spaces exactly where the rows of either are Gaussian, and has the
permutation null's mean of Σρ² and of CKA for any data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from intertwine.numerics.linalg import singular_values, singular_vectors
from intertwine.similarity.canonical import projection_weights
from intertwine.similarity.estimate import Null

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array
    from intertwine.similarity.spectrum import Spectrum

# Large matrices average over themselves: fewer draws have the same error.
MIN_DRAWS, MAX_DRAWS, DRAWN_VALUES = 5, 400, 5120
# Random directions whose projection weights measure how unequal the weights of PWCCA are.
WEIGHT_DRAWS = 64


def haar_corner(rng: np.random.Generator, order: int, p: int, q: int) -> Array:
    """Draw the (p, q) corner of a Haar-random orthogonal matrix of any order, without the rest.

    The first q columns are G R⁻¹ with G a Gaussian (order, q) matrix and RᵀR = GᵀG. Of G only the
    first p rows are drawn; the others enter through their Wishart matrix, by Bartlett's
    decomposition. Anderson, *An Introduction to Multivariate Statistical Analysis* (2003), 7.2. The
    order is at least p and q; singular values are at most 1.
    """
    if q > p:
        return haar_corner(rng, order, q, p).T
    top = rng.standard_normal((p, q))
    left = order - p
    if left >= q:
        root = np.tril(rng.standard_normal((q, q)), -1)
        root[np.diag_indices(q)] = np.sqrt(rng.chisquare(left - np.arange(q)))
    else:
        root = rng.standard_normal((q, left))
    upper = np.asarray(np.linalg.qr(np.vstack([top, root.T]), mode="r"))
    upper *= np.sign(upper.diagonal())[:, None]  # else LAPACK's signs follow the draw
    corner: Array = solve_triangular(upper, top.T, trans="T", check_finite=False).T
    return corner


@dataclass(frozen=True)
class RotationNull:
    """Nulls of the measures that are functions of the cross-scatter of one pair.

    `pwcca_a` and `pwcca_b` have the weights of a and of b.
    """

    cca_mean: Null
    svcca: Null
    pwcca_a: Null
    pwcca_b: Null
    procrustes: Null

    @classmethod
    def of(
        cls, a: Spectrum, b: Spectrum, *, alpha: float, kept: tuple[int, int], seed: int = 0
    ) -> RotationNull:
        """Draw the nulls of a pair from spectra over the same n rows.

        `alpha` is λ of CCA; `kept` are the components of a and of b that SVCCA keeps.
        """
        rng = np.random.default_rng([seed, a.n, a.rank, b.rank])
        smaller = min(a.rank, b.rank)
        draws = int(np.clip(DRAWN_VALUES // smaller, MIN_DRAWS, MAX_DRAWS))
        shrink = [np.sqrt(side.values / (side.values + alpha)) for side in (a, b)]
        root = [np.sqrt(side.values / side.total) for side in (a, b)]
        rho, weighted = np.empty((draws, smaller)), np.empty((2, draws))
        sv, angle = np.empty(draws), np.empty(draws)
        for i in range(draws):
            corner = haar_corner(rng, a.n - 1, a.rank, b.rank)
            whitened = shrink[0][:, None] * corner * shrink[1]
            if alpha:
                rho[i], weighted[:, i] = _regularised(whitened, a, b, alpha)
            else:
                rho[i] = _singular(whitened)
            sv[i] = _singular(corner[: kept[0], : kept[1]]).mean()
            cosine = _singular(root[0][:, None] * corner * root[1]).sum()
            angle[i] = np.arccos(min(cosine, 1.0))
        mean = Null.of(rho.mean(axis=1))
        pwcca_a, pwcca_b = (
            Null.of(scores) if alpha else _weighted(mean, rho, side, rng)
            for side, scores in zip((a, b), weighted, strict=True)
        )
        return cls(
            cca_mean=mean,
            svcca=Null.of(sv),
            pwcca_a=pwcca_a,
            pwcca_b=pwcca_b,
            procrustes=Null.of(angle),
        )


def _singular(matrix: Array) -> Array:
    return np.minimum(singular_values(matrix, quick=True), 1.0)


def _regularised(
    whitened: Array, a: Spectrum, b: Spectrum, alpha: float
) -> tuple[Array, tuple[float, float]]:
    """Return the correlations of one draw, and PWCCA with the weights of a and of b.

    λ shrinks small directions most, so weights and correlations are no longer independent.
    """
    left, rho, right = singular_vectors(whitened, quick=True)
    rho = np.minimum(rho, 1.0)
    weights = [projection_weights(a, left, alpha), projection_weights(b, right, alpha)]
    forth, back = (float(each @ rho / each.sum()) for each in weights)
    return rho, (forth, back)


def _weighted(mean: Null, rho: Array, side: Spectrum, rng: np.random.Generator) -> Null:
    """Return PWCCA's null without λ: the same mean, directions and correlations being independent.

    Unequal weights add to the spread: var(ρ) · cv² / k, cv the weights' coefficient of variation.
    """
    directions = rng.standard_normal((side.rank, WEIGHT_DRAWS))
    directions /= np.linalg.norm(directions, axis=0)
    weights = projection_weights(side, directions)
    unequal = float((weights / weights.mean()).var())
    extra = float(rho.var(axis=1).mean()) * unequal / rho.shape[1]
    return Null(mean.mean, float(np.sqrt(mean.sd**2 + extra)))
