"""Representational similarity analysis (RSA): whether two spaces order pairs of rows alike.

RSA = Spearman's correlation of the dissimilarities of all pairs i < j in the two spaces, equal ones
with their average rank: Kriegeskorte, Mur & Bandettini, *Representational similarity analysis*,
Frontiers in Systems Neuroscience 2 (2008). They take 1 − Pearson's correlation of the features of
two rows as dissimilarity; the default here is the Euclidean distance, with which RSA ignores shift,
rotation, one scale and any monotone change of the distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.stats import rankdata

from intertwine.errors import InputError
from intertwine.numerics.arrays import like, of_no_arrays, to_numpy
from intertwine.similarity.estimate import Estimate
from intertwine.similarity.pairwise import RowView, require_same_rows
from intertwine.similarity.permutation import PairSums, mantel_variance
from intertwine.similarity.row_bootstrap import (
    correlation_excess,
    correlation_sums,
    counts_beside,
    ratio_spread,
    row_counts,
    row_estimate,
    sum_over_draws,
)

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

Dissimilarity = Literal["euclidean", "correlation"]
DISSIMILARITIES: tuple[str, ...] = get_args(Dissimilarity)
MAX_ROWS = 1000
# Norm of a row's features about their mean, with mean square 1, below which it is rounding.
_ROUNDING = 1e-12


@of_no_arrays("a RowView", "intertwine.rsa(x, y)")
def rsa(
    a: RowView, b: RowView, *, dissimilarity: Dissimilarity = "euclidean", seed: int = 0
) -> Estimate:
    """Return Spearman's correlation of the dissimilarities of two spaces.

    Of more than 1,000 rows 1,000 are drawn at random, the same for all spaces; what that leaves
    uncertain is in the interval. Interval: bootstrap over rows, 200 draws (see
    `row_bootstrap`), with ranks held at the full sample's. Null: mean 0, and the variance over all
    pairings of the rows, exactly. Memory: one (1000, 1000) matrix of ranks a space, a few at work.

    Parameters
    ----------
    a, b
        The same m rows in two spaces.
    dissimilarity
        `euclidean`, or `correlation`: 1 − Pearson's correlation over the features of two rows.
    seed
        Of the rows drawn and the bootstrap.

    Returns
    -------
    estimate
        −1 … 1, larger is more similar; undefined for m < 3, and where a space's dissimilarities
        are all equal or, as correlations, undefined.

    Raises
    ------
    InputError
        For an unknown dissimilarity, and spaces with different numbers of rows.
    """
    require_same_rows(a, b)
    if dissimilarity not in DISSIMILARITIES:
        raise InputError(
            f"got dissimilarity {dissimilarity!r}, expected one of {', '.join(DISSIMILARITIES)}"
        )
    if a.m < 3:
        return Estimate.undefined(1.0, f"RSA needs at least 3 rows, got {a.m}")
    left, right = _Ranks.of(a, dissimilarity, seed), _Ranks.of(b, dissimilarity, seed)
    if isinstance(left, str) or isinstance(right, str):
        return Estimate.undefined(1.0, left if isinstance(left, str) else str(right))
    m = left.matrix.shape[0]
    draws = sum_over_draws(left.matrix * right.matrix, counts_beside(a, m, seed))
    covariances = draws - left.first_draws * right.first_draws
    sums = correlation_sums(left.matrix, right.matrix)
    excess = correlation_excess(sums)
    spread = ratio_spread(covariances, left.own_draws, right.own_draws, excess)
    variance = mantel_variance(m, left.sums, right.sums)
    return row_estimate(float(sums[0]), spread, 0.0, variance, lowest=-1.0)


@dataclass(frozen=True)
class _Ranks:
    """Ranks of the dissimilarities of one space.

    `matrix` (m, m) holds centred ranks with Σ r_ij² = 1 and a zero diagonal, where the view's
    features lie; `sums` is for the null; `first_draws` and `own_draws` (draws,) are, for the pairs
    of each draw, Σ r / √(number of pairs), and Σ r² less its square.
    """

    matrix: Any
    sums: PairSums
    first_draws: Array
    own_draws: Array

    @classmethod
    def of(cls, view: RowView, dissimilarity: str, seed: int) -> _Ranks | str:
        """Return the ranks of a space, computed once, or why there are none."""
        key = ("ranks", dissimilarity, seed)
        return view.once(key, lambda: cls._make(view, dissimilarity, seed))

    @classmethod
    def _make(cls, view: RowView, dissimilarity: str, seed: int) -> _Ranks | str:
        features = to_numpy(view.features)[_drawn_rows(view.m, seed)]
        m = len(features)
        if dissimilarity == "correlation":
            features = features + to_numpy(view.mean)
            features = features - features.mean(axis=1, keepdims=True)
            norms = np.linalg.norm(features, axis=1, keepdims=True)
            rounding = _ROUNDING * (1 + float(np.linalg.norm(to_numpy(view.mean))))
            if norms.min() <= rounding:
                return f"{view.name} has rows whose features are all equal: no correlation"
            # Of unit rows 1 − correlation is half the squared distance: one order for both.
            features = features / norms
            if np.ptp(features, axis=0).max() <= rounding / norms.min():
                return f"{view.name} has one correlation, 1, for all pairs of {m} rows"
        drawn = RowView.of(like(features, view.features), name=view.name)
        matrix = None if drawn.constant else _rank_matrix(drawn)
        if matrix is None:
            return f"{view.name} has one distance for all pairs of {m} rows"
        row_sums = matrix.sum(axis=1)
        sums = PairSums.symmetric(0.0, 1.0, float(row_sums @ row_sums))
        matrix, counts = like(matrix, view.features), counts_beside(view, m, seed)
        pairs = m**2 - np.sum(row_counts(m, seed) ** 2, axis=1)
        first = sum_over_draws(matrix, counts) / np.sqrt(np.maximum(pairs, 1))
        return cls(matrix, sums, first, sum_over_draws(matrix**2, counts) - first**2)


def _drawn_rows(m: int, seed: int) -> Array:
    """Return the numbers of at most 1,000 of m rows, rising."""
    if m <= MAX_ROWS:
        return np.arange(m)
    return np.sort(np.random.default_rng(seed).choice(m, MAX_ROWS, replace=False))


def _rank_matrix(view: RowView) -> Array | None:
    """Return centred ranks of all distances with Σ r_ij² = 1, (m, m); None if all are equal."""
    blocks = [to_numpy(view.tie_steps(view.squared_distances(rows))) for rows in view.blocks()]
    upper = np.triu_indices(view.m, 1)
    ranks = rankdata(np.concatenate(blocks)[upper])
    ranks -= ranks.mean()
    norm = np.sqrt(2 * ranks @ ranks)
    if norm == 0:
        return None
    matrix = np.zeros((view.m, view.m))
    matrix[upper] = ranks / norm
    return matrix + matrix.T
