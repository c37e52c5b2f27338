"""Closed-form moments of scores under random pairing: no permutation is ever drawn.

Unrelated spaces of the same rows are modelled by pairing the rows of one with the rows of the other
at random, all n! pairings equally likely. Mean and variance of a sum Σ_{i≠j} A_ij B_π(i)π(j) are
then exact functions of a few sums of each matrix: Mantel, *The detection of disease clustering and
a generalized regression approach*, Cancer Research 27 (1967). With the diagonals, for centred
kernels: Kazi-Aoual, Hitier, Sabatier & Lebreton, *Refined approximations to permutation tests for
multivariate inference*, Computational Statistics & Data Analysis 20 (1995).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array


@dataclass(frozen=True)
class PairSums:
    """Sums over the pairs i ≠ j of an (n, n) matrix whose diagonal does not count.

    `total` is Σ a_ij, `squares` Σ a_ij², `mutual` Σ a_ij a_ji, `rows` Σ_i (Σ_j a_ij)², `columns`
    Σ_j (Σ_i a_ij)² and `crossed` Σ_i (Σ_j a_ij)(Σ_j a_ji). For a symmetric matrix `mutual` equals
    `squares`, and `crossed` equals `rows`.
    """

    total: float
    squares: float
    mutual: float
    rows: float
    columns: float
    crossed: float

    @classmethod
    def symmetric(cls, total: float, squares: float, rows: float) -> PairSums:
        """Return the sums of a symmetric matrix from the three that differ."""
        return cls(total, squares, squares, rows, rows, rows)

    @classmethod
    def sparse(cls, n: int, rows: Array, columns: Array, values: Array) -> PairSums:
        """Return the sums of an (n, n) matrix from its off-diagonal entries, each place once."""
        row_sums = np.bincount(rows, values, n)
        column_sums = np.bincount(columns, values, n)
        place, mirror = rows * n + columns, columns * n + rows
        order = np.argsort(place)
        match = np.minimum(np.searchsorted(place, mirror, sorter=order), max(len(place) - 1, 0))
        partner = order[match]
        return cls(
            total=float(values.sum()),
            squares=float(values @ values),
            mutual=float(values @ np.where(place[partner] == mirror, values[partner], 0.0)),
            rows=float(row_sums @ row_sums),
            columns=float(column_sums @ column_sums),
            crossed=float(row_sums @ column_sums),
        )

    def centred(self, n: int) -> PairSums:
        """Return the sums of the matrix less the mean of its n(n − 1) entries."""
        square, entries = self.total**2, n * (n - 1)
        return PairSums(
            total=0.0,
            squares=self.squares - square / entries,
            mutual=self.mutual - square / entries,
            rows=self.rows - square / n,
            columns=self.columns - square / n,
            crossed=self.crossed - square / n,
        )


def mantel_mean(n: int, a: PairSums, b: PairSums) -> float:
    """Return the mean of Σ_{i≠j} A_ij B_π(i)π(j) over all permutations π of n ≥ 2 rows.

    Mean = Σa Σb / (n(n − 1)).
    """
    return a.total * b.total / (n * (n - 1))


def mantel_variance(n: int, a: PairSums, b: PairSums) -> float:
    """Return the variance of Σ_{i≠j} A_ij B_π(i)π(j) over all permutations π of n ≥ 2 rows.

    Two pairs (i, j), (k, l) are equal, mirrored, share one row in one of four ways, or none. With
    (n)_m = n(n−1)…(n−m+1) and the entries centred, so that nothing cancels, the variance is Σ over
    these ways of (sum over A's pairs)(sum over B's pairs) / (n)_m, m = 2, 3 or 4 rows met. It is at
    least 0, and exact but for rounding; the matrices may be asymmetric.
    """
    left, right = (_by_rows_met(sums.centred(n)) for sums in (a, b))
    met = [x * y for x, y in zip(left, right, strict=True)]
    variance = sum(met[:2]) / (n * (n - 1))
    # With 2 or 3 rows nothing meets in the ways left out.
    if n > 2:
        variance += sum(met[2:6]) / (n * (n - 1) * (n - 2))
    if n > 3:
        variance += met[6] / (n * (n - 1) * (n - 2) * (n - 3))
    return max(variance, 0.0)


def debiased_cka_null_sd(n: int) -> float:
    """Return the standard deviation of debiased CKA over all pairings of n rows; its mean is 0.

    U-centred matrices (symmetric, zero diagonal, zero row sums) are one irreducible representation
    of the permutations, of dimension n(n − 3)/2; hence the correlation of any two of them has
    variance 2/(n(n − 3)) whatever the spaces, which also follows from Mantel's formula. For n < 4
    there is no such matrix but 0, which raises InputError.
    """
    if n < 4:
        raise InputError(f"got n = {n} rows, expected at least 4 for debiased CKA")
    return sqrt(2 / (n * (n - 3)))


def cka_null(
    n: int,
    trace_k: float,
    trace_k2: float,
    diag2_k: float,
    trace_l: float,
    trace_l2: float,
    diag2_l: float,
) -> tuple[float, float]:
    """Return mean and standard deviation of plain CKA over all pairings of n ≥ 2 rows.

    CKA is tr(K P L Pᵀ)/√(tr K² tr L²). With centred kernels K, L, and T = tr K (`trace_k`), T₂ = tr
    K² (`trace_k2`), S₂ = Σ K_ii² (`diag2_k`), the mean of tr(K P L Pᵀ) is T_K T_L/(n − 1) and its
    variance, with (x)_y meaning "of K, times the same of L",

        2 ((n−1)T₂ − T²)_KL / ((n−1)²(n+1)(n−2))
        + (n(n+1)S₂ − (n−1)(T² + 2T₂))_KL / ((n+1)n(n−1)(n−2)(n−3)).

    A kernel that is zero raises InputError.
    """
    if n < 2 or trace_k2 <= 0 or trace_l2 <= 0:
        raise InputError(
            f"got n = {counted(n, 'row')}, tr K² = {trace_k2:g} and tr L² = {trace_l2:g}, expected at least 2 "
            "rows and two spaces that vary"
        )
    # Unit scale first: fourth powers of the features would overflow.
    t, s = trace_k / sqrt(trace_k2), diag2_k / trace_k2
    u, r = trace_l / sqrt(trace_l2), diag2_l / trace_l2
    variance = 0.0
    # With 2 or 3 rows the terms left out are 0/0 with nothing in the numerator.
    if n > 2:
        spread = (n - 1 - t * t) * (n - 1 - u * u)
        variance = 2 * spread / ((n - 1) ** 2 * (n + 1) * (n - 2))
    if n > 3:
        left, right = (
            n * (n + 1) * squares - (n - 1) * (trace * trace + 2)
            for trace, squares in ((t, s), (u, r))
        )
        variance += left * right / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
    return t * u / (n - 1), sqrt(max(variance, 0.0))


def _by_rows_met(sums: PairSums) -> tuple[float, ...]:
    """Return Σ a_ij a_kl by how (i, j) and (k, l) meet.

    In order: equal, mirrored, i = k, j = l, i = l, j = k, and all four rows distinct.
    """
    one = (
        sums.rows - sums.squares,
        sums.columns - sums.squares,
        sums.crossed - sums.mutual,
        sums.crossed - sums.mutual,
    )
    rest = sums.total**2 - sums.squares - sums.mutual - sum(one)
    return (sums.squares, sums.mutual, *one, rest)
