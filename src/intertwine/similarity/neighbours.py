"""Alignment of two spaces over the pairs of rows that are neighbours in both.

With N_A(i) the k nearest other rows of row i in A, Euclidean, equal distances by row order, and a
value s_ij for each neighbour (t_ij in B),

    alignment = Σ_{j ∈ N_A(i) ∩ N_B(i)} s_ij t_ij / √(Σ_{j ∈ N_A(i)} s_ij² · Σ_{j ∈ N_B(i)} t_ij²).

Huh, Cheung, Wang & Isola, *The Platonic Representation Hypothesis*, ICML 2024, appendix. With s = 1
it is the mutual nearest-neighbour overlap (`mutual_knn`), with centred linear kernels CKNNA
(`cknna`). Both share the bootstrap and the exact null here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import sparse

from intertwine.arrays import like, namespace, to_numpy
from intertwine.errors import InputError
from intertwine.similarity.estimate import Estimate
from intertwine.similarity.pairwise import require_same_rows
from intertwine.similarity.permutation import PairSums, mantel_mean, mantel_variance
from intertwine.similarity.row_bootstrap import (
    ratio_spread,
    row_counts,
    row_estimate,
    sum_over_draws,
)

if TYPE_CHECKING:
    from intertwine.arrays import Array
    from intertwine.similarity.pairwise import RowView

NEIGHBOURS = 10
# Mean square of kernel values, of rows of mean square norm 1, below which they are rounding.
_ROUNDING = 1e-24


def default_k(m: int) -> int:
    """Return the number of neighbours for m rows: 10, or (m − 1)//2 where that is less."""
    return min(NEIGHBOURS, (m - 1) // 2)


def alignment(
    a: RowView, b: RowView, *, values: Literal["ones", "kernel"], k: int | None, seed: int
) -> Estimate:
    """Return the alignment of two spaces over mutual neighbours.

    Interval: bootstrap over rows, 200 draws (see `row_bootstrap`), with neighbour sets and values
    held at the full sample's, pairs of neighbours counted as often as both rows are drawn. Null:
    mean and variance over all pairings of the rows, exactly.

    Parameters
    ----------
    a, b
        The same m rows in two spaces.
    values
        What a pair of neighbours counts: `ones`, or the `kernel` z_i·z_j of centred rows.
    k
        Neighbours; None is min(10, (m − 1)//2).
    seed
        Of the bootstrap.

    Returns
    -------
    estimate
        Undefined for m < 3, and where a space is constant or its neighbours' kernels are all 0.

    Raises
    ------
    InputError
        For k outside 1 … m − 1, and spaces with different numbers of rows.
    """
    require_same_rows(a, b)
    m = a.m
    if m < 3:
        return Estimate.undefined(1.0, f"nearest neighbours need at least 3 rows, got {m}")
    k = default_k(m) if k is None else k
    if not 1 <= k < m:
        raise InputError(f"got k = {k} neighbours, expected 1 to {m - 1} for {m} rows")
    for view in (a, b):
        if view.constant:
            return Estimate.undefined(1.0, f"{view.name} is constant over these {m} rows")
    left, right = _Graph.of(a, k, values, seed), _Graph.of(b, k, values, seed)
    for view, graph in ((a, left), (b, right)):
        if graph.sums.squares <= m * k * _ROUNDING:
            reason = f"the nearest neighbours of {view.name} have no kernel but 0"
            return Estimate.undefined(1.0, reason)
    mutual = left.matrix.multiply(right.matrix).tocsr()
    own = sqrt(left.sums.squares * right.sums.squares)
    score = float(mutual.sum()) / own
    draws = sum_over_draws(mutual, row_counts(m, seed))
    excess = _excess(mutual / own, left, right, score)
    spread = ratio_spread(draws, left.own_draws, right.own_draws, excess)
    null = mantel_mean(m, left.sums, right.sums) / own
    variance = mantel_variance(m, left.sums, right.sums) / own**2
    lowest = 0.0 if values == "ones" else -1.0
    return row_estimate(score, spread, null, variance, lowest)


@dataclass(frozen=True)
class _Graph:
    """The nearest neighbours of one space.

    Parameters
    ----------
    matrix
        (m, m) with s_ij where j is a neighbour of i; m k entries are stored.
    squares
        (m, m) with s_ij².
    sums
        What the null needs.
    own_draws
        Σ s_ij² over each draw of rows, (draws,).
    """

    matrix: sparse.csr_array
    squares: sparse.csr_array
    sums: PairSums
    own_draws: Array

    @classmethod
    def of(cls, view: RowView, k: int, values: str, seed: int) -> _Graph:
        """Return the neighbours of a space that varies, made once."""

        def make() -> _Graph:
            columns = view.once(("nearest", k), lambda: view.nearest(k)).ravel()
            rows = np.repeat(np.arange(view.m), k)
            weights = np.ones(len(rows)) if values == "ones" else _kernel(view, columns, k)
            matrix = sparse.csr_array((weights, (rows, columns)), shape=(view.m, view.m))
            sums = PairSums.sparse(view.m, rows, columns, weights)
            squares = matrix.multiply(matrix).tocsr()
            return cls(matrix, squares, sums, sum_over_draws(squares, row_counts(view.m, seed)))

        return view.once(("graph", k, values, seed), make)


def _excess(mutual: sparse.csr_array, left: _Graph, right: _Graph, score: float) -> float:
    """Return 4 Σ e_ij² over pairs, e = what i, j and j, i add on average to first order."""
    own = left.squares / left.sums.squares + right.squares / right.sums.squares
    added = mutual - score / 2 * own
    both = (added + added.T) / 2
    return 4 * float(both.multiply(both).sum())


def _kernel(view: RowView, columns: Array, k: int) -> Array:
    """Return z_i·z_j of every row with its k neighbours, (m k,), in blocks of rows."""
    xp = namespace(view.features)
    parts = []
    for rows in view.blocks():
        chosen = columns[rows.start * k : rows.stop * k].reshape(-1, k)
        products = view.features[rows, :] @ view.features.T
        parts.append(to_numpy(xp.take_along_axis(products, like(chosen, products), axis=1)))
    return np.concatenate(parts).ravel()
