"""Ridge regression from moments, for every target and every λ after one factorisation.

Minimises Σ‖M x + b − y‖² + λ‖M − M₀‖²_F, the sum form, whose λ is scikit-learn's `alpha`; M₀ is a
prior map, zero when there is none. Hoerl & Kennard, *Ridge regression: biased estimation for
nonorthogonal problems*, Technometrics 12 (1970).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.device_solve import Cholesky
from intertwine.estimators.gcv import GCV
from intertwine.estimators.normal import Eigen, NormalEquations
from intertwine.numerics.arrays import of_no_arrays

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from intertwine.maps.linear_map import LinearMap
    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array

GCV_CHOICES = ("gcv", "gcv-per-target")


def check_alpha(alpha: float | str) -> float | str:
    """Return a λ as a number, or the name of a way to choose it.

    A negative, infinite or unknown value raises InputError.
    """
    if alpha in GCV_CHOICES:
        return alpha
    try:
        value = float(alpha)
    except (TypeError, ValueError):
        value = -1.0
    if not (np.isfinite(value) and value >= 0):
        raise InputError(
            f"got alpha {alpha}, expected a number of at least 0 or one of {', '.join(GCV_CHOICES)}"
        )
    return value


@of_no_arrays("joint Moments", "intertwine.fit(x, y)")
def ridge(
    moments: Moments,
    source: str,
    targets: Iterable[str],
    *,
    alpha: float | str = 1.0,
    intercept: str = "free",
    priors: Mapping[str, LinearMap] | None = None,
    alphas: Array | None = None,
) -> dict[str, LinearMap]:
    """Fit ridge maps from one source to several targets.

    Parameters
    ----------
    moments
        Joint moments that hold the source and the targets.
    source
        Name of the source space.
    targets
        Names of the target spaces.
    alpha
        λ: a number of at least 0 (0 is minimum-norm least squares), `gcv` for one λ a target
        space, or `gcv-per-target` for one a target dimension.
    intercept
        `free`, `homogeneous` or `none`.
    priors
        The map to shrink toward, by target; with no rows at all the result is that map.
    alphas
        (n_alphas,) the grid of λ that GCV searches; None is `gcv.SHARES` of the source's mean
        eigenvalue.

    Returns
    -------
    maps
        By target. `info` holds alpha (the median, with alpha_min and alpha_max), rank and notes.

    Raises
    ------
    InputError
        For a bad option, an unknown space, or fewer than two rows without a prior.
    """
    alpha = check_alpha(alpha)
    equations = NormalEquations(moments, source, intercept)
    solver = _Solver(equations, alpha, alphas)
    maps = {}
    for target in targets:
        prior = (priors or {}).get(target)
        if prior is not None and moments.n == 0:
            equations.coefficients_of(prior, target)  # refuses what does not fit
            maps[target] = prior.with_info(n=0, alpha=None)
            continue
        if prior is None:
            equations.require_rows()
        maps[target] = solver.fit(target, prior)
    return maps


class _Solver:
    """One factored source: Cholesky for one λ, an eigendecomposition for λ = 0 and for GCV."""

    def __init__(
        self, equations: NormalEquations, alpha: float | str, alphas: Array | None
    ) -> None:
        self.equations, self.alpha, self.alphas = equations, alpha, alphas
        self.gram = equations.gram()
        factor: Cholesky | Eigen | None = None
        if isinstance(alpha, float) and alpha > 0:
            self.rank = equations.rank(self.gram)
            # In a null direction Cholesky divides the rounding of R by λ: with a λ that is not far
            # above the rounding of G, only the eigenvectors can separate the two.
            # Dead features are no such direction: they are exactly zero in G and in R.
            alive = np.count_nonzero(self.gram.diagonal())
            if self.rank == alive or equations.bears(self.gram, alpha):
                shifted = self.gram.copy()
                shifted[np.diag_indices_from(shifted)] += alpha
                factor = Cholesky(shifted, equations.device)
        if factor is None:
            factor = Eigen.of(equations, self.gram)
            self.rank = factor.rank
        self.factor = factor

    def fit(self, target: str, prior: LinearMap | None) -> LinearMap:
        equations = self.equations
        right, power = equations.right(target), equations.power(target)
        start = None if prior is None else equations.coefficients_of(prior, target)
        if start is not None:
            # Shrinking toward M₀ is shrinking the residual's map toward zero.
            explained = self.gram @ start
            power = np.maximum(power - ((2 * right - explained) * start).sum(axis=0), 0.0)
            right = right - explained
        coefficients, chosen, notes = self._solve(right, power)
        if start is not None:
            coefficients += start
        dim = len(self.gram)
        if self.rank < dim:
            notes.append(equations.rank_note(self.rank, dim))
        facts = {
            "alpha": float(np.median(chosen)),
            "alpha_min": float(chosen.min()),
            "alpha_max": float(chosen.max()),
            "rank": self.rank,
            "notes": notes,
        }
        if prior is not None:
            facts["prior"] = prior.method
        return equations.build(coefficients, target, "ridge", **facts)

    def _solve(self, right: Array, power: Array) -> tuple[Array, Array, list[str]]:
        if not isinstance(self.factor, Eigen):
            return self.factor.solve(right), np.full(right.shape[1], self.alpha), []
        rotated = self.factor.rotate(right)
        notes: list[str] = []
        if isinstance(self.alpha, str):
            gcv = GCV.of(
                self.factor,
                rotated,
                power,
                n=self.equations.n,
                unpenalised=self.equations.unpenalised,
                alphas=self.alphas,
            )
            chosen, notes = gcv.choose(per_target=self.alpha == "gcv-per-target")
        else:
            chosen = np.full(right.shape[1], self.alpha)
        return self.factor.solve(rotated, chosen), chosen, notes
