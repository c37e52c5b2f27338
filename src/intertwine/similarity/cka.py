"""Linear centred kernel alignment (CKA) from moments.

CKA(A, B) = HSIC(A, B) / √(HSIC(A, A) HSIC(B, B)) with the kernels K = XXᵀ, L = YYᵀ of centred rows.
Kornblith, Norouzi, Lee & Hinton, *Similarity of neural network representations revisited*, ICML
2019. The plain estimate, HSIC ∝ tr(KL) = ‖XᵀY‖²_F, nears 1 for any two spaces when n is small
beside d. The debiased one takes HSIC₁, unbiased: Song, Smola, Gretton, Bedo & Borgwardt, *Feature
selection via dependence maximization*, Journal of Machine Learning Research 13 (2012), eq. 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from intertwine.moments import Moments
    from intertwine.sums import Sums


def linear_cka(moments: Moments, a: str, b: str, *, debiased: bool = False) -> float:
    """Return linear CKA between two spaces.

    Parameters
    ----------
    moments
        Joint moments that hold both spaces.
    a, b
        Names of the spaces.
    debiased
        Whether to use the unbiased HSIC₁. The number may then be negative, or exceed one.

    Returns
    -------
    cka
        1 for spaces equal up to rotation, shift and scale; 0 (plain) for uncorrelated ones.

    Raises
    ------
    InputError
        For an unknown space, fewer than 2 rows (4 when debiased), and where CKA is undefined: a
        space that is constant, or whose own HSIC₁ is not above rounding.
    """
    needed = 4 if debiased else 2
    if moments.n < needed:
        raise InputError(f"got n = {moments.n} rows, expected at least {needed} for CKA")
    # Selecting first keeps the other spaces out of the work.
    sums = moments.select(dict.fromkeys([a, b])).about_mean()
    hsic = _hsic_unbiased if debiased else _hsic_plain
    for name in (a, b):
        rounding = 64 * np.finfo(moments.precision).eps * _hsic_plain(sums, name, name)
        if not moments.scatter_diagonal(name).any() or hsic(sums, name, name) <= rounding:
            raise InputError(f"{name} does not vary enough over {moments.n} rows to have a CKA")
    own = hsic(sums, a, a) * hsic(sums, b, b)
    return hsic(sums, a, b) / float(np.sqrt(own))


def _hsic_plain(sums: Sums, a: str, b: str) -> float:
    """Return tr(KL) = ‖Σ z_a z_bᵀ‖²_F."""
    return float(np.linalg.norm(sums.pair(a, b)) ** 2)


def _hsic_unbiased(sums: Sums, a: str, b: str) -> float:
    """Return n(n − 3) HSIC₁.

    With K̃, L̃ the kernels without their diagonals, HSIC₁ ∝ tr(K̃L̃) + 1ᵀK̃1 1ᵀL̃1 / ((n−1)(n−2))
    − 2/(n−2) 1ᵀK̃L̃1. Rows are centred, so K1 = 0 and K̃1 = −q, q_i = ‖z_i‖².
    """
    i, j, n = sums.names.index(a), sums.names.index(b), sums.n
    both = float(sums.norm_second[i, j])  # Σ q_a q_b
    each = float(sums.norm_first[i] * sums.norm_first[j])  # Σ q_a Σ q_b
    return _hsic_plain(sums, a, b) - both + each / ((n - 1) * (n - 2)) - 2 * both / (n - 2)
