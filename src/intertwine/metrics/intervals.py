"""Confidence intervals of proportions and of paired changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

if TYPE_CHECKING:
    from intertwine.arrays import Array

CONFIDENCE = 0.95
DRAWS = 10_000


def proportion_interval(successes: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a proportion.

    Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).
    """
    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def paired_change_interval(
    both: int, gained: int, lost: int, n: int, *, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % paired-bootstrap interval of a percent change in accuracy.

    change = 100 · (right after − right before) / right before, over the same rows. Resampling rows
    moves only how many fall into the four cells of the 2×2 table, so resampling the table from its
    multinomial is the same bootstrap, exactly, without the rows. Efron & Tibshirani, *An
    Introduction to the Bootstrap* (1993), percentile interval.

    Parameters
    ----------
    both, gained, lost
        Rows right before and after, only after, only before.
    n
        Rows in all.
    seed
        Of the draws.

    Returns
    -------
    interval
        (low, high) in percent; None when no row was right before.
    """
    if both + lost == 0:
        return None
    rng = np.random.default_rng(seed)
    cells = np.array([both, gained, lost, n - both - gained - lost])
    draws = rng.multinomial(n, cells / n, size=DRAWS)
    before = draws[:, 0] + draws[:, 2]
    kept = before > 0
    changes = 100.0 * (draws[kept, 1] - draws[kept, 2]) / before[kept]
    return percentile_interval(changes)


def percentile_interval(draws: Array) -> tuple[float, float]:
    """Return the middle 95 % of bootstrap draws, (draws,)."""
    tail = 50.0 * (1 - CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)
