"""Ridge without some of its rows, in closed form.

What ridge with an unpenalised intercept gives for the rows it is fitted on is Ŷ = HY, with
H = 11ᵀ/m + U diag(s²/(s² + λ)) Uᵀ of the centred rows' singular value decomposition. Fitted without
the rows S, λ the same, it gives for any row x

    f(x) − h(x, S) (I − H_SS)⁻¹ (Y_S − Ŷ_S),

which for the rows S themselves is Y_S − (I − H_SS)⁻¹ (Y_S − Ŷ_S). For with Y_S replaced by what the
fit without S gives there, that fit is the best one of all rows. Seber & Lee, *Linear Regression
Analysis* (2003), section 10.1; Golub, Heath & Wahba, *Technometrics* 21 (1979).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from intertwine.numerics.linalg import svd

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array


@dataclass(frozen=True)
class Smoother:
    """One factorisation that serves every λ and every set of rows left out.

    `y` holds the targets of all n rows, of which the `first` are fitted on. `values` (k,) are
    squares of the singular values s of the centred rows fitted on, none that is rounding, and
    `scores` (n, k) all rows in the directions of these, Us for those fitted on.
    """

    y: Array
    first: int
    values: Array
    scores: Array

    @classmethod
    def of(cls, x: Array, y: Array, first: int) -> Smoother:
        """Factor the first rows of x, (n, d_source)."""
        centred = x - x[:first].mean(axis=0)
        _, values, vt = svd(centred[:first])
        sure = values > max(first, x.shape[1]) * np.finfo(np.float64).eps * values.max(initial=0)
        return cls(y, first, values[sure] ** 2, centred @ vt[sure].T)

    def fitted(self, alpha: float) -> Array:
        """Return what ridge of all rows fitted on maps all rows to, (n, d_target)."""
        mean = self.y[: self.first].mean(axis=0)
        right = self.scores[: self.first].T @ (self.y[: self.first] - mean)
        return np.asarray(self.scores @ (right / (self.values + alpha)[:, None]) + mean)

    def hat(self, alpha: float, rows: Array, columns: Array) -> Array:
        """Return how rows depend on the targets of rows fitted on, (n_rows, n_columns) of H."""
        weighted = self.scores[rows] / (self.values + alpha)
        return np.asarray(weighted @ self.scores[columns].T + 1 / self.first)

    def without(self, out: Array, alpha: float, fitted: Array, rows: Array) -> Array:
        """Return what ridge fitted without the rows `out` maps the `rows` asked for to, (k, d_target).

        `out` is ascending and of rows fitted on; `fitted` is what the method `fitted` returns for
        this λ.
        """
        if out.size == 0:
            return np.asarray(fitted[rows])
        left = -self.hat(alpha, out, out)
        left[np.diag_indices_from(left)] += 1
        factor = cho_factor(left, lower=True, overwrite_a=True, check_finite=False)
        errors = cho_solve(factor, self.y[out] - fitted[out], check_finite=False)
        mapped = self.y[rows]
        among = np.isin(rows, out)
        mapped[among] -= errors[np.searchsorted(out, rows[among])]
        others = rows[~among]
        if others.size:
            mapped[~among] = fitted[others] - self.hat(alpha, others, out) @ errors
        return np.asarray(mapped)
