"""Bootstrap over rows for sums over pairs of rows, and the interval from it.

A draw of m rows with replacement is a vector w of counts, and a sum over the pairs of the rows
drawn is wᵀPw, where P has a zero diagonal: a row and its own copy, which have distance 0, are no
pair. So all draws are one matrix product. Efron & Tibshirani, *An introduction to the bootstrap*
(1993), chapter 6.

The variance of the draws is Σ_i 4 (Σ_j e_ij)² + 2 Σ e_ij², with e_ij what the pair i, j adds to the
score. Its first part holds each pair's own noise twice over (Efron & Stein, *The jackknife estimate
of variance*, Annals of Statistics 9, 1981), which makes the whole three times too large for
unrelated spaces. So 4 Σ e_ij² is taken off, which leaves an unbiased variance of a sum over pairs.
"""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.numerics.arrays import like, namespace, to_numpy
from intertwine.similarity.estimate import Estimate

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array
    from intertwine.similarity.pairwise import RowView

DRAWS = 200
Z = 1.959964


@lru_cache(maxsize=8)
def row_counts(m: int, seed: int) -> Array:
    """Return how often each row is drawn in each of 200 draws of m from m rows, (200, m)."""
    counts = np.random.default_rng(seed).multinomial(m, np.full(m, 1 / m), size=DRAWS)
    counts = counts.astype(np.float64)
    counts.flags.writeable = False
    return counts


def counts_beside(view: RowView, m: int, seed: int) -> Any:
    """Return the counts of the draws from m rows where a view's features lie, (draws, m)."""
    return view.once(("counts", m, seed), lambda: like(row_counts(m, seed), view.features))


def sum_over_draws(matrix: Any, counts: Any) -> Array:
    """Return Σ w_i w_j p_ij for the counts w of every draw of rows, (draws,) NumPy.

    P (m, m) has a zero diagonal, an array of the counts' library or a SciPy sparse one; the counts
    (draws, m) come from `row_counts`.
    """
    return to_numpy(namespace(counts).sum((counts @ matrix) * counts, axis=1))


def correlation_sums(a: Any, b: Any) -> Array:
    """Return Σp, Σp², Σpq and Σq² with p = ab and q = a² + b², of blocks of two matrices, (4,)."""
    xp = namespace(a)
    p, q = a * b, a * a + b * b
    return np.array([float(xp.sum(x)) for x in (p, p * p, p * q, q * q)])


def correlation_excess(sums: Array) -> float:
    """Return 4 Σ e_ij² for the correlation s = Σ ab of matrices with Σ a² = Σ b² = 1.

    To first order a pair adds e = ab − s(a² + b²)/2. The sums (4,) are `correlation_sums` over all
    blocks.
    """
    score, *(pp, pq, qq) = sums
    return max(4 * float(pp - score * pq + score**2 * qq / 4), 0.0)


def ratio_spread(numerator: Array, own_a: Array, own_b: Array, excess: float) -> float:
    """Return the standard deviation over draws of numerator/√(own_a own_b).

    The three are (draws,) sums over the pairs of each draw; draws in which a space does not vary
    have no ratio and are left out. `excess` is 4 Σ e_ij², by which the variance of the draws is too
    large.
    """
    powers = own_a * own_b
    valid = (own_a > 0) & (own_b > 0) & (powers > 0)
    if valid.sum() < 2:
        return 0.0
    variance = np.var(numerator[valid] / np.sqrt(powers[valid]), ddof=1)
    return sqrt(max(float(variance) - excess, 0.0))


def row_estimate(
    score: float, spread: float, null: float, null_variance: float, lowest: float
) -> Estimate:
    """Return the estimate of a measure whose range is `lowest` … 1 and whose best value is 1.

    The interval is score ± 1.96 max(spread, √null_variance), cut to the range: near a null, where a
    sum over pairs has no linear part, the bootstrap alone can be too narrow. `spread` is the
    bootstrap's standard deviation, `null` and `null_variance` mean and variance of the score over
    random pairings of the rows; a score that rounding put outside the range is cut.
    """
    score = min(max(score, lowest), 1.0)
    half = Z * max(spread, sqrt(null_variance))
    return Estimate(score, max(score - half, lowest), min(score + half, 1.0), null, best=1.0)
