"""Whether a bare array comes from the space that a map expects.

A `.npy` file names no network. What a map stores of its source, the mean μ and spread σ of every
dimension, still tells: in another space the order of the dimensions is another one, so its profile
of means is uncorrelated with μ, while rows of the right space repeat it, even rows of one class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import SpaceMismatchError

if TYPE_CHECKING:
    from intertwine.arrays import Array
    from intertwine.linear_map import LinearMap

# Rows looked at.
SAMPLE_ROWS = 1000
# A profile is asked only where the right space would correlate by this many standard deviations of
# an unrelated one; a third of it is then the threshold: unrelated arrays pass with p < 4e-5.
INFORMATIVE_DEVIATIONS = 12.0
THRESHOLD_SHARE = 1 / 3
# The right space keeps its mean squared norm within this factor, whatever classes it shows.
NORM_FACTOR = 4.0


@dataclass(frozen=True)
class SourceCheck:
    """What the first rows of an array say about where they come from.

    Parameters
    ----------
    correlation
        Between the profiles of the rows and of the map's source.
    expected
        What it should be, were the rows of the map's source, given how much they vary.
    norm_ratio
        Mean squared norm of the rows over that of the source.
    informative
        Whether the profile can tell at all.
    """

    correlation: float
    expected: float
    norm_ratio: float
    informative: bool

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the array."""
        scaled = 1 / NORM_FACTOR <= self.norm_ratio <= NORM_FACTOR
        return scaled and (
            not self.informative or self.correlation >= THRESHOLD_SHARE * self.expected
        )


def check_source(linear_map: LinearMap, rows: Array) -> SourceCheck | None:
    """Compare an array's first rows with what a map knows of its source.

    The profile of means of m rows with spread s correlates with μ by about
    √(v / (v + σ̄²(1/m + max(0, 1 − s̄²/σ̄²)))), v being the variance of μ over dimensions and the last
    term the spread that rows of few classes lack.

    Parameters
    ----------
    linear_map
        The map.
    rows
        (m, d_source) first rows of the array.

    Returns
    -------
    check
        The comparison; None when the map knows nothing of its source or there are no rows.
    """
    mean, spread = linear_map.source_mean, linear_map.source_spread
    if mean is None or spread is None or len(rows) == 0:
        return None
    sample = np.asarray(rows[:SAMPLE_ROWS], np.float64)
    m, d = sample.shape
    profile, variance = sample.mean(axis=0), sample.var(axis=0)
    noise = float((spread**2).mean())
    missing = max(0.0, 1.0 - float(variance.mean()) / noise) if noise > 0 else 0.0
    signal = float(mean.var())
    noise *= 1 / m + missing
    expected = float(np.sqrt(signal / (signal + noise))) if signal > 0 else 0.0
    own = float((mean**2 + spread**2).sum())
    norm_ratio = float((profile**2 + variance).sum()) / own if own > 0 else 1.0
    return SourceCheck(
        correlation=_correlation(profile, mean),
        expected=expected,
        norm_ratio=norm_ratio,
        informative=expected * np.sqrt(d) > INFORMATIVE_DEVIATIONS,
    )


def require_source(linear_map: LinearMap, rows: Array, *, name: str) -> str:
    """Raise when an array looks like another space than a map's source.

    Parameters
    ----------
    linear_map
        The map.
    rows
        (m, d_source) first rows of the array.
    name
        What to call the array.

    Returns
    -------
    note
        What was found, as a sentence.

    Raises
    ------
    SpaceMismatchError
        Saying what was found and expected.
    """
    check = check_source(linear_map, rows)
    space = linear_map.source.name
    if check is None:
        return f"{name}: map {linear_map.name} holds no statistics to recognise {space} by"
    found = (
        f"its profile correlates {check.correlation:.2f} with {space}'s (expected about "
        f"{check.expected:.2f}), its mean squared norm is {check.norm_ratio:.2g} times {space}'s"
    )
    if not check.passed:
        raise SpaceMismatchError(
            f"{name} does not look like features of {space}: {found}; is it the map's target, "
            "another network, or normalised otherwise? --force maps it all the same"
        )
    if not check.informative:
        return f"{name}: {space}'s profile is too flat to recognise it by"
    return f"{name}: {found}"


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms > 0 else 0.0
