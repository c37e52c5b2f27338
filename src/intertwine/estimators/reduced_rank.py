"""True reduced-rank ridge regression from moments.

Minimises Σ‖M x + b − y‖² + λ‖M‖²_F over maps M of rank r: M = V_r V_rᵀ B_λᵀ with B_λ the full-rank
ridge solution and V_r the top eigenvectors of B_λᵀ(G + λI)B_λ. It truncates what the map explains,
not its weights. Mukherjee & Zhu, *Reduced rank ridge regression and its kernel extensions*,
Statistical Analysis and Data Mining 4 (2011).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.gcv import ALPHAS, GCV, MIN_FREE_SHARE
from intertwine.estimators.normal import Eigen, NormalEquations
from intertwine.estimators.ridge import check_alpha

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intertwine.arrays import Array
    from intertwine.linear_map import LinearMap
    from intertwine.moments import Moments


def reduced_rank(
    moments: Moments,
    source: str,
    targets: Iterable[str],
    *,
    rank: int | str,
    alpha: float | str = 1.0,
    intercept: str = "free",
    alphas: Array = ALPHAS,
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
        (n_alphas,) the grid that GCV searches.

    Returns
    -------
    maps
        By target; `info` holds alpha, map_rank and df.

    Raises
    ------
    InputError
        For a bad rank or alpha, an unknown space, or fewer than two rows.
    """
    alpha = check_alpha(alpha)
    if alpha == "gcv-per-target":
        raise InputError("method reduced-rank takes one alpha for all targets; use a number or gcv")
    if rank != "gcv" and (isinstance(rank, str) or rank < 1 or rank % 1):
        raise InputError(f"got rank {rank}, expected a whole number of at least 1, or gcv")
    equations = NormalEquations(moments, source, intercept)
    equations.require_rows()
    eigen = Eigen.of(equations)
    maps = {}
    for target in targets:
        rotated, power = eigen.rotate(equations.right(target)), equations.power(target)
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
            lam = float(gcv.choose(per_target=False)[0][0])
        maps[target] = _fit(equations, eigen, rotated, power, target, rank, float(lam))
    return maps


def _fit(
    equations: NormalEquations,
    eigen: Eigen,
    rotated: Array,
    power: Array,
    target: str,
    rank: int | str,
    lam: float,
) -> LinearMap:
    shrunk = eigen.values[:, None] + lam
    explained = rotated / np.sqrt(shrunk)  # its Gram matrix is Bᵀ(G + λI)B
    values, vectors = np.linalg.eigh(explained.T @ explained)
    values, vectors = values[::-1], vectors[:, ::-1]  # (q,), (q, q), largest first
    coefficients = rotated / shrunk
    q = len(power)
    ranks = np.arange(1, min(eigen.rank, q) + 1)
    df_ridge = float(eigen.df(np.array([lam]))[0])
    df = ranks * (df_ridge + q - ranks) + q * equations.unpenalised
    if rank == "gcv":
        # ‖Y − XB_r‖² + λ‖B_r‖² = ‖Y‖² − Σ_{k ≤ r} values_k
        shrinkage = ((coefficients @ vectors) ** 2).sum(axis=0)
        residual = power.sum() - np.cumsum(values + lam * shrinkage)[: len(ranks)]
        free = equations.n * q - df
        scores = np.where(
            free >= MIN_FREE_SHARE * equations.n * q, np.maximum(residual, 0) / free**2, np.inf
        )
        chosen = int(ranks[np.argmin(scores)]) if len(ranks) else 0
    else:
        chosen = min(int(rank), len(ranks))
    top = vectors[:, :chosen]
    return equations.build(
        eigen.vectors @ (coefficients @ top @ top.T),
        target,
        "reduced-rank",
        alpha=lam,
        map_rank=chosen,
        df=float(df[chosen - 1]) if chosen else 0.0,
        rank=eigen.rank,
    )
