"""Mutual nearest neighbours and CKNNA: alignment over the pairs that are neighbours in both spaces.

With N_A(i) the k nearest other rows of row i in A, Euclidean, and a value s_ij for each neighbour
(t_ij in B),

    alignment = Σ_{j ∈ N_A(i) ∩ N_B(i)} s_ij t_ij / √(Σ_{j ∈ N_A(i)} s_ij² · Σ_{j ∈ N_B(i)} t_ij²).

Rows at equal distances share the last places, in each space for itself: a sum over N_A(i) ∩ N_B(i)
is weighted by both shares, one over N_A(i) by its own. That is what each sum is on average when the
ties of either space are broken at random, so unrelated spaces score the null however many ties they
have; and a space with ties for the last place scores less than 1 against a copy of itself.

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

from intertwine.errors import InputError
from intertwine.numerics.arrays import like, namespace, of_no_arrays, to_numpy
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
    from intertwine.numerics.arrays import Array
    from intertwine.similarity.pairwise import RowView

NEIGHBOURS = 10
# Mean square of kernel values, of rows of mean square norm 1, below which they are rounding.
_ROUNDING = 1e-24


@of_no_arrays("a RowView", "intertwine.mutual_knn(x, y)")
def mutual_knn(a: RowView, b: RowView, *, k: int | None = None, seed: int = 0) -> Estimate:
    """Return the share of nearest neighbours that two spaces have in common.

    Parameters
    ----------
    a, b
        The same m rows in two spaces.
    k
        Neighbours; None is min(10, (m − 1)//2).
    seed
        Of the bootstrap.

    Returns
    -------
    estimate
        0 … 1, larger is more similar; its null is k/(m − 1). See `neighbours.alignment` for ties,
        the interval, the null's variance, and where it is undefined.

    Raises
    ------
    InputError
        For k outside 1 … m − 1, and spaces with different numbers of rows.
    """
    return alignment(a, b, values="ones", k=k, seed=seed)


@of_no_arrays("a RowView", "intertwine.similarity(x, y)")
def cknna(a: RowView, b: RowView, *, k: int | None = None, seed: int = 0) -> Estimate:
    """Return the kernel alignment of two spaces over their mutual nearest neighbours.

    Parameters
    ----------
    a, b
        The same m rows in two spaces.
    k
        Neighbours; None is min(10, (m − 1)//2).
    seed
        Of the bootstrap.

    Returns
    -------
    estimate
        −1 … 1, larger is more similar; its null is about k/(m − 1). See `neighbours.alignment`
        for ties, the interval, the null, and where it is undefined.

    Raises
    ------
    InputError
        For k outside 1 … m − 1, and spaces with different numbers of rows.
    """
    return alignment(a, b, values="kernel", k=k, seed=seed)


def alignment(
    a: RowView, b: RowView, *, values: Literal["ones", "kernel"], k: int | None, seed: int
) -> Estimate:
    """Return the alignment of two spaces over mutual neighbours.

    A pair of neighbours counts 1 (`ones`), or the `kernel` z_i·z_j of centred rows; k None is
    min(10, (m − 1)//2). Interval: bootstrap over rows, 200 draws (see `row_bootstrap`), with
    neighbour sets and values held at the full sample's, pairs of neighbours counted as often as
    both rows are drawn. Null: mean and variance over all pairings of the rows, exactly. It is
    undefined for m < 3, and where a space is constant, its neighbours' kernels are all 0, or so
    many of its distances are equal that memory does not hold the ties; k outside 1 … m − 1 raises
    InputError.
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
    if left is None or right is None:
        name = a.name if left is None else b.name
        return Estimate.undefined(1.0, f"{name} has too many equal distances between its {m} rows")
    for view, graph in ((a, left), (b, right)):
        if graph.own <= m * k * _ROUNDING:
            reason = f"the nearest neighbours of {view.name} have no kernel but 0"
            return Estimate.undefined(1.0, reason)
    # A space's own ties are broken once, not against each other.
    mutual = left.squares if a is b else left.matrix.multiply(right.matrix).tocsr()
    own = sqrt(left.own * right.own)
    score = float(mutual.sum()) / own
    draws = sum_over_draws(mutual, row_counts(m, seed))
    excess = _excess(mutual / own, left, right, score)
    spread = ratio_spread(draws, left.own_draws, right.own_draws, excess)
    null = mantel_mean(m, left.sums, right.sums) / own
    variance = mantel_variance(m, left.sums, right.sums) / own**2
    lowest = 0.0 if values == "ones" else -1.0
    return row_estimate(score, spread, null, variance, lowest)


def default_k(m: int) -> int:
    """Return the number of neighbours for m rows: 10, or (m − 1)//2 where that is less."""
    return min(NEIGHBOURS, (m - 1) // 2)


@dataclass(frozen=True)
class _Graph:
    """The nearest neighbours of one space.

    `matrix` (m, m) holds s_ij times the share where j is a neighbour of i, `squares` (m, m) s_ij²
    times the share, `own` its sum and `own_draws` (draws,) its sum over each draw of rows; `sums`
    is for the null.
    """

    matrix: sparse.csr_array
    squares: sparse.csr_array
    own: float
    sums: PairSums
    own_draws: Array

    @classmethod
    def of(cls, view: RowView, k: int, values: str, seed: int) -> _Graph | None:
        """Return the neighbours of a space that varies, computed once; None of too many ties."""

        def make() -> _Graph | None:
            near = view.once(("nearest", k), lambda: view.nearest(k))
            if near is None:
                return None
            rows, columns = near.rows, near.columns
            each = np.ones(len(rows)) if values == "ones" else _kernel(view, rows, columns)
            weights, shape = near.shares * each, (view.m, view.m)
            matrix = sparse.csr_array((weights, (rows, columns)), shape=shape)
            sums = PairSums.sparse(view.m, rows, columns, weights)
            plain = sparse.csr_array((each, (rows, columns)), shape=shape)
            squares = matrix.multiply(plain).tocsr()
            draws = sum_over_draws(squares, row_counts(view.m, seed))
            return cls(matrix, squares, float(weights @ each), sums, draws)

        return view.once(("graph", k, values, seed), make)


def _kernel(view: RowView, rows: Array, columns: Array) -> Array:
    """Return z_i·z_j of every row with its neighbours, (entries,), in blocks of rows."""
    xp = namespace(view.features)
    parts = []
    for block in view.blocks():
        own = slice(*np.searchsorted(rows, [block.start, block.stop]))
        products = view.features[block, :] @ view.features.T
        place = (rows[own] - block.start) * view.m + columns[own]
        parts.append(to_numpy(xp.take(xp.reshape(products, (-1,)), like(place, products))))
    return np.concatenate(parts)


def _excess(mutual: sparse.csr_array, left: _Graph, right: _Graph, score: float) -> float:
    """Return 4 Σ e_ij² over pairs, e = what i, j and j, i add on average to first order."""
    own = left.squares / left.own + right.squares / right.own
    added = mutual - score / 2 * own
    both = (added + added.T) / 2
    return 4 * float(both.multiply(both).sum())
