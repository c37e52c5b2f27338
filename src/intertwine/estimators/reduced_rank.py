"""True reduced-rank ridge regression from moments.

Minimises Σ‖M x + b − y‖² + λ‖M‖²_F over maps M of rank r: M = V_r V_rᵀ B_λᵀ with B_λ the full-rank
ridge solution and V_r the top eigenvectors of B_λᵀ(G + λI)B_λ. It truncates what the map explains,
not its weights. Mukherjee & Zhu, *Reduced rank ridge regression and its kernel extensions*,
Statistical Analysis and Data Mining 4 (2011).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.gcv import GCV, MIN_FREE_SHARE
from intertwine.estimators.normal import Eigen, NormalEquations
from intertwine.estimators.ridge import check_alpha
from intertwine.numerics.arrays import of_no_arrays

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intertwine.maps.linear_map import LinearMap
    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array


@of_no_arrays("joint Moments", 'intertwine.fit(x, y, method="reduced-rank")')
def reduced_rank(
    moments: Moments,
    source: str,
    targets: Iterable[str],
    *,
    rank: int | str,
    alpha: float | str = 1.0,
    intercept: str = "free",
    alphas: Array | None = None,
) -> dict[str, LinearMap]:
    """Fit ridge maps of limited rank from one source to several targets.

    Parameters
    ----------
    moments
        Joint moments that hold the source and the targets.
    source
        Name of the source space.
    targets
        Names of the target spaces.
    rank
        The rank r, at least 1; or `gcv`, the rank that minimises n·q·RSS / (n·q − df)² with
        df = r (df_λ + q − r) + q·(1 for a free intercept), q = d_target and df_λ the trace of the
        ridge hat matrix: the count of free parameters of Reinsel & Velu, *Multivariate
        Reduced-Rank Regression* (1998), with df_λ in place of d_source. At r = q it is ridge's own.
    alpha
        λ: a number or `gcv`, chosen for the full-rank ridge map.
    intercept
        `free`, `homogeneous` or `none`.
    alphas
        (n_alphas,) the grid of λ that GCV searches, as for `ridge`.

    Returns
    -------
    maps
        By target; `info` holds alpha, map_rank, df, rank and notes.

    Raises
    ------
    InputError
        For a bad rank or alpha, an unknown space, or fewer than two rows.
    """
    check_rank(rank)
    factored = _factored(moments, source, targets, alpha, intercept, alphas)
    return {
        target: each.build(each.best_rank() if rank == "gcv" else int(rank))
        for target, each in factored
    }


def check_rank(rank: int | str) -> None:
    """Raise InputError unless a rank is a whole number of at least 1, or `gcv`."""
    if rank != "gcv" and (isinstance(rank, str) or rank < 1 or rank % 1):
        raise InputError(f"got rank {rank}, expected a whole number of at least 1, or gcv")


def rank_path(
    moments: Moments,
    source: str,
    targets: Iterable[str],
    *,
    ranks: Sequence[int],
    alpha: float | str = 1.0,
    intercept: str = "free",
    alphas: Array | None = None,
) -> dict[str, dict[int, LinearMap]]:
    """Fit ridge maps of several ranks, by target and rank, for little more than the price of one.

    The other parameters and the errors are those of `reduced_rank`; a rank above what the spaces
    have is the full-rank map.
    """
    for rank in ranks:
        if rank < 1:
            raise InputError(f"got rank {rank}, expected a whole number of at least 1")
    return {
        target: {rank: each.build(rank) for rank in ranks}
        for target, each in _factored(moments, source, targets, alpha, intercept, alphas)
    }


def _factored(
    moments: Moments,
    source: str,
    targets: Iterable[str],
    alpha: float | str,
    intercept: str,
    alphas: Array | None,
) -> Iterator[tuple[str, _Factored]]:
    """Yield each target's ridge solution, its directions sorted by what they explain."""
    alpha = check_alpha(alpha)
    if alpha == "gcv-per-target":
        raise InputError("method reduced-rank takes one alpha for all targets; use a number or gcv")
    equations = NormalEquations(moments, source, intercept)
    equations.require_rows()
    eigen = Eigen.of(equations)
    for target in targets:
        rotated, power = eigen.rotate(equations.right(target)), equations.power(target)
        notes: list[str] = []
        lam = alpha
        if lam == "gcv":
            gcv = GCV.of(
                eigen,
                rotated,
                power,
                n=equations.n,
                unpenalised=equations.unpenalised,
                alphas=alphas,
            )
            chosen, notes = gcv.choose(per_target=False)
            lam = chosen[0]
        if eigen.rank < len(eigen.vectors):
            notes.append(equations.rank_note(eigen.rank, len(eigen.vectors)))
        factored = _Factored.of(equations, eigen, rotated, power, target, float(lam))
        yield target, replace(factored, notes=tuple(notes))


@dataclass(frozen=True)
class _Factored:
    """A full-rank ridge solution, from which a map of any rank is a product away.

    `coefficients` are in the source's eigenvectors; `vectors` (q, q) are the directions of the
    target by `values`, what they explain, largest first.
    """

    equations: NormalEquations
    eigen: Eigen
    target: str
    alpha: float
    coefficients: Array
    power: Array
    values: Array
    vectors: Array
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        equations: NormalEquations,
        eigen: Eigen,
        rotated: Array,
        power: Array,
        target: str,
        alpha: float,
    ) -> _Factored:
        shrunk = eigen.values[:, None] + alpha
        explained = rotated / np.sqrt(shrunk)  # its Gram matrix is Bᵀ(G + λI)B
        values, vectors = np.linalg.eigh(explained.T @ explained)
        values, vectors = values[::-1], vectors[:, ::-1]
        return cls(equations, eigen, target, alpha, rotated / shrunk, power, values, vectors)

    @property
    def ranks(self) -> Array:
        """The ranks there are, 1 … min(rank of the source, q)."""
        return np.arange(1, min(self.eigen.rank, len(self.power)) + 1)

    def df(self) -> Array:
        """Return the free parameters at each rank."""
        q = len(self.power)
        df_ridge = float(self.eigen.df(np.array([self.alpha]))[0])
        return np.asarray(self.ranks * (df_ridge + q - self.ranks) + q * self.equations.unpenalised)

    def best_rank(self) -> int:
        """Return the rank that minimises GCV, 0 where the source does not vary."""
        ranks, n_numbers = self.ranks, self.equations.n * len(self.power)
        # ‖Y − XB_r‖² + λ‖B_r‖² = ‖Y‖² − Σ_{k ≤ r} values_k
        shrinkage = ((self.coefficients @ self.vectors) ** 2).sum(axis=0)
        explained = np.cumsum(self.values + self.alpha * shrinkage)[: len(ranks)]
        residual = self.power.sum() - explained
        free = n_numbers - self.df()
        scores = np.where(
            free >= MIN_FREE_SHARE * n_numbers, np.maximum(residual, 0) / free**2, np.inf
        )
        return int(ranks[np.argmin(scores)]) if len(ranks) else 0

    def build(self, rank: int) -> LinearMap:
        """Return the map of a rank, or of the largest there is."""
        chosen = min(rank, len(self.ranks))
        top = self.vectors[:, :chosen]
        return self.equations.build(
            self.eigen.vectors @ (self.coefficients @ top @ top.T),
            self.target,
            "reduced-rank",
            alpha=self.alpha,
            map_rank=chosen,
            df=float(self.df()[chosen - 1]) if chosen else 0.0,
            rank=self.eigen.rank,
            notes=list(self.notes),
        )
