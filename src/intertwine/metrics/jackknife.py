"""The delete-a-group jackknife: intervals of any smooth score from scores without one group each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t

from intertwine.metrics.intervals import CONFIDENCE

if TYPE_CHECKING:
    from intertwine.arrays import Array


def jackknife_error(score: float, without: Array, sizes: Array) -> float:
    """Return the standard error of a score from its values without one group of rows each.

    With h_j = n/m_j and pseudo-values τ_j = h_j θ − (h_j − 1) θ_(j), the variance is
    (1/g) Σ (τ_j − θ_J)² / (h_j − 1), θ_J = Σ τ_j / h_j. Busing, Meijer & van der Leeden,
    *Delete-m jackknife for unequal m*, Statistics and Computing 9 (1999), equation 8. Groups of
    equal size give the usual (g − 1)/g Σ (θ_(j) − mean)².

    Parameters
    ----------
    score
        θ, over all rows.
    without
        (g,) θ_(j), the score without group j.
    sizes
        (g,) rows m_j of each group; they sum to n.

    Returns
    -------
    error
        The standard error.
    """
    ratio = sizes.sum() / np.asarray(sizes, np.float64)  # h
    pseudo = ratio * score - (ratio - 1) * without
    centre = (pseudo / ratio).sum()
    return float(np.sqrt(((pseudo - centre) ** 2 / (ratio - 1)).mean()))


def t_factor(n_groups: int) -> float:
    """Return the half width of a 95 % interval in standard errors estimated from g groups.

    Student's t with g − 1 degrees of freedom.
    """
    return float(t.ppf(0.5 + CONFIDENCE / 2, n_groups - 1))
