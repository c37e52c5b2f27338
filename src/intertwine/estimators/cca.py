"""Canonical correlation analysis from moments: a pair of maps into one shared space.

With W = (S + λI)^(−1/2) of each side and W_A S_AB W_B = U ρ Vᵀ, the maps are
√n ρ^p Uᵀ W_A (x − μ_A) and √n ρ^p Vᵀ W_B (y − μ_B). Hotelling, *Relations between two sets of
variates*, Biometrika 28 (1936); the ridge form is Vinod's, Journal of Econometrics 4 (1976).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.normal import Eigen, NormalEquations
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import MapPair
from intertwine.numerics.arrays import of_no_arrays
from intertwine.numerics.linalg import svd
from intertwine.spaces import Space

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array


@dataclass(frozen=True)
class Whitening:
    """The whitening (S + λI)^(−1/2) of one space, factored once for all its partners.

    `eigen` factors the space's scatter, `alpha` is λ, and `n` the number of rows that the moments
    had then; they may have grown since.
    """

    equations: NormalEquations
    eigen: Eigen
    alpha: float
    n: int

    @classmethod
    def of(cls, moments: Moments, name: str, alpha: float) -> Whitening:
        """Factor one space."""
        equations = NormalEquations(moments, name)
        return cls(equations, Eigen.of(equations), alpha, moments.n)

    def serves(self, moments: Moments, alpha: float) -> bool:
        """Return whether it is still the whitening of these moments."""
        same = self.equations.moments is moments and self.n == moments.n
        return same and self.alpha == alpha

    def basis(self) -> Array:
        """Return the whitened eigenvectors, (d, rank)."""
        return np.asarray(self.eigen.vectors / np.sqrt(self.eigen.values + self.alpha))


def check_options(alpha: float | str, rank: int | None) -> None:
    """Raise InputError unless λ is a number of at least 0 and the rank at least 1."""
    if isinstance(alpha, str) or not (np.isfinite(alpha) and alpha >= 0):
        raise InputError(f"got alpha {alpha}, expected a number of at least 0: CCA has no GCV")
    if rank is not None and rank < 1:
        raise InputError(f"got rank {rank}, expected at least 1")


@of_no_arrays("joint Moments", 'intertwine.fit(x, y, method="cca")')
def cca(
    moments: Moments,
    source: str,
    targets: Iterable[str],
    *,
    alpha: float | str = 1.0,
    power: float = 1.0,
    rank: int | None = None,
    whitenings: dict[str, Whitening] | None = None,
) -> dict[str, MapPair]:
    """Fit pairs of maps into shared spaces, one for each target.

    Parameters
    ----------
    moments
        Joint moments that hold the source and the targets.
    source
        Name of the source space.
    targets
        Names of the target spaces.
    alpha
        λ of both sides, a number of at least 0, in the sum form that ridge has.
    power
        p: each shared coordinate is weighted by its canonical correlation to this power.
    rank
        Number of shared coordinates; as many as both sides have when omitted.
    whitenings
        Factorisations to use and to add to, when maps from several sources are wanted.

    Returns
    -------
    pairs
        By target; each map's `info` holds the canonical correlations.

    Raises
    ------
    InputError
        For a bad option, an unknown space, or fewer than two rows.
    """
    check_options(alpha, rank)
    NormalEquations(moments, source).require_rows()
    known = {} if whitenings is None else whitenings

    def whitening(name: str) -> Whitening:
        cached = known.get(name)
        if cached is None or not cached.serves(moments, float(alpha)):
            known[name] = Whitening.of(moments, name, float(alpha))
        return known[name]

    return {target: _pair(whitening(source), whitening(target), power, rank) for target in targets}


def _pair(a: Whitening, b: Whitening, power: float, rank: int | None) -> MapPair:
    source, target = a.equations.source, b.equations.source
    left, right = a.basis(), b.basis()
    u, rho, vt = svd(left.T @ a.equations.right(target) @ right)
    rho = np.clip(rho, 0.0, 1.0)  # a correlation; only rounding exceeds one
    k = min(len(rho), rank or len(rho))
    if k == 0:
        raise InputError(f"{source} or {target} is constant over all rows; it has no correlations")
    weights = np.sqrt(a.equations.n) * rho[:k] ** power
    shared = Space(f"cca.{source}.{target}", k)
    info = {
        "alpha": a.alpha,
        "power": power,
        "correlations": [round(float(r), 6) for r in rho[:k]],
    }
    return MapPair(
        _side(a, (left @ u[:, :k] * weights).T, shared, info),
        _side(b, (right @ vt[:k].T * weights).T, shared, info),
    )


def _side(side: Whitening, weight: Array, shared: Space, info: dict[str, object]) -> LinearMap:
    moments, name = side.equations.moments, side.equations.source
    mean = moments.mean(name)
    return LinearMap(
        weight=weight,
        bias=-weight @ mean,
        source=moments.spaces[name],
        target=shared,
        method="cca",
        info={**info, "n": moments.n, "rank": side.eigen.rank},
        source_mean=mean,
        source_spread=np.sqrt(moments.scatter_diagonal(name) / moments.n),
    )
