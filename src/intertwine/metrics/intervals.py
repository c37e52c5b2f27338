"""Intervals of proportions, paired changes and resampled people, and the jackknife's error.

Proportions by Wilson's formula; the others by a percentile bootstrap over rows, or over the people
behind pairs of images; a score's standard error by a delete-a-group jackknife.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest, t

from intertwine.errors import InputError
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

CONFIDENCE = 0.95
DRAWS = 10_000
REPLICATES = 1000


def proportion_interval(successes: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a proportion.

    Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).
    """
    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def paired_change_interval(
    both: int, gained: int, lost: int, n: int, *, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % paired-bootstrap interval of a percent change in accuracy, in percent.

    change = 100 · (right after − right before) / right before, over the same n rows: `both` right
    before and after, `gained` only after, `lost` only before. Resampling rows moves only how many
    fall into the four cells of the 2×2 table, so resampling the table from its multinomial is the
    same bootstrap, exactly, without the rows. Efron & Tibshirani, *An Introduction to the
    Bootstrap* (1993), percentile interval. None when no row was right before.
    """
    if both + lost == 0:
        return None
    rng = np.random.default_rng(seed)
    cells = np.array([both, gained, lost, n - both - gained - lost])
    draws = rng.multinomial(n, cells / n, size=DRAWS)
    before = draws[:, 0] + draws[:, 2]
    defined = before > 0
    changes = 100.0 * (draws[defined, 1] - draws[defined, 2]) / before[defined]
    return percentile_interval(changes)


def percentile_interval(draws: Array) -> tuple[float, float]:
    """Return the middle 95 % of bootstrap draws, (draws,)."""
    tail = 50.0 * (1 - CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def people_counts(n_people: int, n_replicates: int = REPLICATES, *, seed: int = 0) -> Array:
    """Return how often each person is drawn with replacement, (n_replicates, n_people) float64.

    As many are drawn as there are people, so each row sums to n_people.
    """
    if n_people < 1 or n_replicates < 1:
        raise InputError(
            f"got {counted(n_people, 'person', 'people')} and {counted(n_replicates, 'replicate')}, expected at least 1 of each"
        )
    shares = np.full(n_people, 1 / n_people)
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_people, shares, size=n_replicates).astype(np.float64)


def pair_weights(
    first: Array, second: Array, *, n_replicates: int = REPLICATES, seed: int = 0
) -> Array:
    """Return how often each pair of images is in each bootstrap sample of people.

    A matched pair counts as often as its person was drawn, a mismatched one the product of both
    persons' counts: the pigeonhole bootstrap. Owen, *The pigeonhole bootstrap*, Annals of Applied
    Statistics 1 (2007); Owen & Eckles, *Bootstrapping data arrays of arbitrary order*, Annals of
    Applied Statistics 6 (2012).

    `first` and `second` (n_pairs,) name the person on each side of a pair, equal where it is
    matched; the weights are (n_replicates, n_pairs) float64, for `intertwine.metrics.verification`.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(
            f"got people {first.shape} and {second.shape}, expected (n_pairs,) on both sides"
        )
    people, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    counts = people_counts(len(people), n_replicates, seed=seed)
    left, right = place[: len(first)], place[len(first) :]
    weights = counts[:, left]
    np.multiply(weights, counts[:, right], out=weights, where=left != right)
    return weights


def bootstrap_interval(draws: Array, n_replicates: int) -> tuple[float, float] | None:
    """Return the percentile interval of the replicates that are defined, (n_defined,) scores.

    None where under half of the `n_replicates` are defined.
    """
    if len(draws) == 0 or 2 * len(draws) < n_replicates:
        return None
    return percentile_interval(draws)


def jackknife_error(score: float, without: Array, sizes: Array) -> float:
    """Return the standard error of a score from its values without one group of rows each.

    With g groups of m_j rows each (`sizes`, which sum to n), θ the score over all rows, θ_(j) the
    score `without` group j, h_j = n/m_j and pseudo-values τ_j = h_j θ − (h_j − 1) θ_(j), the
    variance is (1/g) Σ (τ_j − θ_J)² / (h_j − 1), θ_J = Σ τ_j / h_j. Busing, Meijer & van der
    Leeden, *Delete-m jackknife for unequal m*, Statistics and Computing 9 (1999), equation 8.
    Groups of equal size have the usual (g − 1)/g Σ (θ_(j) − mean)².
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
