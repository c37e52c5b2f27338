"""Debiased CKA with Gaussian kernels.

k(x, y) = exp(−‖x − y‖²/(2σ²)), σ = fraction × the median distance of the sample's pairs: Kornblith,
Norouzi, Lee & Hinton, *Similarity of neural network representations revisited*, ICML 2019, and, for
the median, Gretton, Borgwardt, Rasch, Schölkopf & Smola, *A kernel two-sample test*, Journal of
Machine Learning Research 13 (2012). CKA = HSIC₁(K, L)/√(HSIC₁(K, K) HSIC₁(L, L)) with the unbiased
HSIC₁ of Song et al. (2012), eq. 5. That is the correlation Σ k̃l̃/√(Σk̃² Σl̃²) of U-centred kernels,

    k̃_ij = k_ij − r_i/(m−2) − r_j/(m−2) + Σr/((m−1)(m−2)) for i ≠ j, 0 for i = j, r_i = Σ_{j≠i} k_ij

(Székely & Rizzo, *Partial distance correlation with methods for dissimilarities*, Annals of
Statistics 42, 2014), so it is never outside −1 … 1. It ignores shift, rotation and one scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.numerics.arrays import namespace, of_no_arrays, to_numpy
from intertwine.similarity.estimate import Estimate
from intertwine.similarity.pairwise import require_same_rows
from intertwine.similarity.permutation import debiased_cka_null_sd
from intertwine.similarity.row_bootstrap import (
    correlation_excess,
    correlation_sums,
    counts_beside,
    ratio_spread,
    row_estimate,
)

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array
    from intertwine.similarity.pairwise import RowView

# Root mean square of k̃ below which it is rounding; k itself is at most 1.
_ROUNDING = 1e-12
_NARROWEST, _WIDEST = 0.01, 100.0


@of_no_arrays("a RowView", "intertwine.similarity(x, y)")
def rbf_cka(a: RowView, b: RowView, *, fraction: float = 1.0, seed: int = 0) -> Estimate:
    """Return debiased CKA of two spaces with Gaussian kernels.

    Interval: bootstrap over rows, 200 draws (see `row_bootstrap`), with bandwidths and centring
    held at the full sample's. Centring has no part in the error to first order, as the other
    kernel's rows sum to 0. Null: mean 0 and variance 2/(m(m − 3)) over all pairings of the rows,
    exactly.

    Parameters
    ----------
    a, b
        The same m rows in two spaces.
    fraction
        The bandwidth in medians of the distances.
    seed
        Of the bootstrap.

    Returns
    -------
    estimate
        −1 … 1, larger is more similar; undefined for m < 4 and where a space's distances are equal.

    Raises
    ------
    InputError
        For a fraction outside 0.01 … 100, and for spaces with different numbers of rows.
    """
    require_same_rows(a, b)
    if not _NARROWEST <= fraction <= _WIDEST:
        raise InputError(
            f"got fraction = {fraction:g}, expected a bandwidth of {_NARROWEST:g} to "
            f"{_WIDEST:g} medians"
        )
    if a.m < 4:
        return Estimate.undefined(1.0, f"debiased CKA needs at least 4 rows, got {a.m}")
    for view in (a, b):
        if view.constant:
            return Estimate.undefined(1.0, f"{view.name} is constant over these {a.m} rows")
    left, right = _Kernel.of(a, fraction), _Kernel.of(b, fraction)
    if left is None or right is None:
        name = a.name if left is None else b.name
        reason = f"the kernel of {name} is the same for all pairs of these {a.m} rows"
        return Estimate.undefined(1.0, reason)
    sums, draws = _pair_sums((a, left), (b, right), seed)
    own_a, own_b = left.own_draws(a, seed), right.own_draws(b, seed)
    spread = ratio_spread(draws, own_a, own_b, correlation_excess(sums))
    return row_estimate(float(sums[0]), spread, 0.0, debiased_cka_null_sd(a.m) ** 2, lowest=-1.0)


@dataclass
class _Kernel:
    """U-centred Gaussian kernel of one space, over √Σk̃².

    `rate` is 1/(2σ²), `shift` (m,) r_i/(m−2) − Σr/(2(m−1)(m−2)), so that k̃_ij = k_ij − shift_i −
    shift_j, and `norm` √Σk̃²; `blocks` are blocks of rows by their first row, where the view keeps
    them.
    """

    rate: float
    shift: Any = 0.0
    norm: float = 1.0
    blocks: dict[int, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, view: RowView, fraction: float) -> _Kernel | None:
        """Return the kernel of a space that varies, computed once; None if all pairs are equal."""
        return view.once(("rbf", fraction), lambda: cls._make(view, fraction))

    @classmethod
    def _make(cls, view: RowView, fraction: float) -> _Kernel | None:
        m, xp = view.m, namespace(view.features)
        kernel = cls(rate=0.5 / (fraction * view.median_distance) ** 2)
        # The sum of a row includes k_ii = 1.
        sums = xp.concat([xp.sum(kernel.raw(view, rows), axis=1) - 1 for rows in view.blocks()])
        kernel.shift = sums / (m - 2) - xp.sum(sums) / (2 * (m - 1) * (m - 2))
        squares = 0.0
        for rows in view.blocks():
            block = kernel.block(view, rows)
            squares += float(xp.sum(block * block))
            if view.keep:
                kernel.blocks[rows.start] = block
        if squares <= m * (m - 1) * _ROUNDING**2:
            return None
        kernel.norm = sqrt(squares)
        kernel.blocks = {start: block / kernel.norm for start, block in kernel.blocks.items()}
        return kernel

    def raw(self, view: RowView, rows: slice) -> Any:
        """Return k of one block of rows with all rows, (rows, m)."""
        return namespace(view.features).exp(-self.rate * view.squared_distances(rows))

    def block(self, view: RowView, rows: slice) -> Any:
        """Return k̃/√Σk̃² of one block of rows with all rows, (rows, m)."""
        if rows.start in self.blocks:
            return self.blocks[rows.start]
        centred = self.raw(view, rows) - self.shift[rows, None] - self.shift[None, :]
        return namespace(centred).where(view.diagonal(rows), 0.0, centred / self.norm)

    def own_draws(self, view: RowView, seed: int) -> Array:
        """Return Σ k̃²/Σk̃² over each draw of rows, (draws,), computed once."""
        both = (view, self)
        return view.once(("rbf", self.rate, seed), lambda: _pair_sums(both, both, seed)[1])


def _pair_sums(
    a: tuple[RowView, _Kernel], b: tuple[RowView, _Kernel], seed: int
) -> tuple[Array, Array]:
    """Return the `correlation_sums` of two kernels, and Σ k̃l̃ over each draw of rows, (draws,)."""
    counts = counts_beside(a[0], a[0].m, seed)
    sums, draws = np.zeros(4), np.zeros(counts.shape[0])
    for rows in a[0].blocks():
        left, right = a[1].block(a[0], rows), b[1].block(b[0], rows)
        sums += correlation_sums(left, right)
        drawn = (counts[:, rows] @ (left * right)) * counts
        draws += to_numpy(namespace(drawn).sum(drawn, axis=1))
    return sums, draws
