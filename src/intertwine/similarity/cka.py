"""Linear centred kernel alignment (CKA) from moments.

CKA(A, B) = HSIC(A, B) / √(HSIC(A, A) HSIC(B, B)) with the kernels K = XXᵀ, L = YYᵀ of centred rows.
Kornblith, Norouzi, Lee & Hinton, *Similarity of neural network representations revisited*, ICML
2019. The plain estimate, HSIC ∝ tr(KL) = ‖XᵀY‖²_F, nears 1 for any two spaces when n is small
beside d. The debiased one takes HSIC₁, unbiased: Song, Smola, Gretton, Bedo & Borgwardt, *Feature
selection via dependence maximization*, Journal of Machine Learning Research 13 (2012), eq. 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.numerics.arrays import of_no_arrays
from intertwine.similarity.estimate import Null
from intertwine.similarity.permutation import cka_null, debiased_cka_null_sd
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array


@of_no_arrays("joint Moments", "intertwine.cka(x, y)")
def linear_cka(moments: Moments, a: str, b: str, *, debiased: bool = False) -> float:
    """Return linear CKA between two spaces.

    Parameters
    ----------
    moments
        Joint moments that hold both spaces.
    a, b
        Names of the spaces.
    debiased
        Whether to use the unbiased HSIC₁. The number may then be negative: it is the correlation of
        U-centred kernels, −1 … 1.

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
    return KernelSums.of(moments, a, b).cka(debiased=debiased)


@of_no_arrays("joint Moments", "intertwine.similarity(x, y)")
def linear_cka_null(moments: Moments, a: str, b: str, *, debiased: bool = False) -> Null:
    """Return the mean and spread of linear CKA over every pairing of the rows of two spaces.

    Closed form, from the moments: no row is permuted. Debiased CKA has mean 0 and a spread that
    depends on n alone; plain CKA's are in `intertwine.similarity.permutation.cka_null`.

    Parameters
    ----------
    moments
        Joint moments that hold both spaces.
    a, b
        Names of the spaces.
    debiased
        Whether the null of debiased CKA is wanted.

    Raises
    ------
    InputError
        For an unknown space, a space that does not vary, or too few rows.
    """
    return KernelSums.of(moments, a, b).null(debiased=debiased)


# Fourth powers below this have lost digits.
_LEAST = 1e-295
# Traces between 2^±150 have fourth powers.
_MOST_POWER = 150


@dataclass(frozen=True)
class KernelSums:
    """What CKA needs of the centred kernels K = XXᵀ of two spaces.

    A space of very large or small features is scaled by a power of two, which changes no digit, to
    a trace of about 1: fourth powers of its features would leave the range of numbers.

    `products` (2, 2) is tr(K_i K_j) = ‖S_ij‖²_F, `traces` (2,) tr K_i = Σq and `squares` (2, 2) Σ
    q_i q_j, q the diagonal of K; `rounding` is that of one product, relative; `lost` names the
    spaces whose features are too small for Σq².
    """

    names: tuple[str, str]
    n: int
    rounding: float
    products: Array
    traces: Array
    squares: Array
    lost: tuple[str, ...] = ()

    @classmethod
    def of(cls, moments: Moments, a: str, b: str) -> KernelSums:
        """Compute the sums of a pair."""
        both = list(dict.fromkeys([a, b]))
        traces, squares = moments.norms_about_mean(both)
        index = [both.index(name) for name in (a, b)]
        traces, squares = traces[index], squares[np.ix_(index, index)]
        exponents = np.frexp(traces)[1]
        power = np.where(np.abs(exponents) > _MOST_POWER, -(exponents // 2), 0)
        lost = (power > 0) & (squares.diagonal() < _LEAST * moments.n)
        traces = np.ldexp(traces, 2 * power)
        squares = np.ldexp(squares, 2 * (power[:, None] + power))
        norms = [_norm(moments, name, name, 2 * power[i]) for i, name in enumerate((a, b))]
        between = norms[0] if a == b else _norm(moments, a, b, int(power.sum()))
        return cls(
            names=(a, b),
            n=moments.n,
            rounding=64 * moments.eps,
            products=np.array([[norms[0], between], [between, norms[1]]]),
            traces=traces,
            squares=squares,
            lost=tuple(name for name, gone in zip((a, b), lost, strict=True) if gone),
        )

    def cka(self, *, debiased: bool) -> float:
        """Return CKA, the errors those of `linear_cka`."""
        needed = 4 if debiased else 2
        if self.n < needed:
            raise InputError(
                f"got n = {counted(self.n, 'row')}, expected at least {needed} for CKA"
            )
        self._require_digits()
        powers = [self.hsic(i, i, debiased=debiased) for i in (0, 1)]
        for i, name in enumerate(self.names):
            if powers[i] <= self.rounding * self.products[i, i] or self.products[i, i] <= 0:
                raise InputError(
                    f"{name} does not vary enough over {counted(self.n, 'row')} to have a CKA"
                )
        return self.hsic(0, 1, debiased=debiased) / float(np.sqrt(powers[0] * powers[1]))

    def null(self, *, debiased: bool) -> Null:
        """Return the null of CKA, the errors those of `linear_cka_null`."""
        self._require_digits()
        if debiased:
            return Null(0.0, debiased_cka_null_sd(self.n))
        facts = [
            float(number)
            for i in (0, 1)
            for number in (self.traces[i], self.products[i, i], self.squares[i, i])
        ]
        return Null(*cka_null(self.n, *facts))

    def _require_digits(self) -> None:
        """Raise where Σq² has vanished."""
        for name in self.lost:
            raise InputError(f"{name}: features are too small for CKA; rescale them")

    def hsic(self, i: int, j: int, *, debiased: bool) -> float:
        """Return tr(K_i K_j), or n(n − 3) HSIC₁ when debiased.

        With K̃, L̃ the kernels without their diagonals, HSIC₁ ∝ tr(K̃L̃) + 1ᵀK̃1 1ᵀL̃1 / ((n−1)(n−2))
        − 2/(n−2) 1ᵀK̃L̃1. Rows are centred, so K1 = 0 and K̃1 = −q, q_i = ‖z_i‖².
        """
        if not debiased:
            return float(self.products[i, j])
        n, both = self.n, float(self.squares[i, j])
        each = float(self.traces[i] * self.traces[j])
        return float(self.products[i, j]) - both + each / ((n - 1) * (n - 2)) - 2 * both / (n - 2)


def _norm(moments: Moments, a: str, b: str, power: int) -> float:
    """Return ‖S_ab‖²_F, S_ab times two to a power."""
    return float(np.linalg.norm(np.ldexp(moments.scatter(a, b), power)) ** 2)
