"""Recognises whether a bare array comes from the space that a map expects.

A `.npy` file names no network. A map stores of its source the mean μ and the few directions in
which the features vary most. Rows of that space, even a single one, have much of their deviation
from μ in those directions; rows of another space, whose dimensions mean something else, little more
than chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from intertwine.errors import SpaceMismatchError

if TYPE_CHECKING:
    from intertwine.maps.linear_map import LinearMap
    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array

# Rows looked at.
SAMPLE_ROWS = 1000
# Directions stored: one for so many dimensions, at most so many.
DIMENSIONS_A_DIRECTION = 16
MAX_DIRECTIONS = 64
# Rows must have this part of the share that the source itself has in its directions.
THRESHOLD = 0.5
# The test is made only where that is so many standard deviations above an unrelated direction.
INFORMATIVE_DEVIATIONS = 4.0
# It is a mean over rows and directions, and used only where these are so many numbers.
MIN_NUMBERS = 64
# The right space keeps its mean squared norm within this factor, whatever its classes, where
# that is a mean over so many numbers.
NORM_FACTOR = 4.0
MIN_NORM_NUMBERS = 256


def main_directions(moments: Moments, name: str) -> Array:
    """Return the directions in which a space varies most, (k, d) orthogonal rows.

    Each is as long as the standard deviation along it; k is one for every 16 dimensions, at most
    64, fewer where the space has fewer.
    """
    scatter = moments.scatter(name)
    d = len(scatter)
    k = max(1, min(MAX_DIRECTIONS, d // DIMENSIONS_A_DIRECTION))
    values, vectors = eigh(scatter, subset_by_index=[d - k, d - 1])
    significant = values > d * moments.eps * max(float(values[-1]), 0.0)
    return np.ascontiguousarray(
        (vectors[:, significant] * np.sqrt(values[significant] / moments.n)).T
    )


@dataclass(frozen=True)
class SourceCheck:
    """What the first rows of an array show about where they come from.

    `share` is the part of the rows' squared deviation from the source's mean that is in the
    source's directions, `expected` that part in the rows that the map was fitted on, `norm_ratio`
    the mean squared norm of the rows over that of the source. `informative` is whether the
    directions can distinguish spaces at all, `sized` whether the norm can.
    """

    share: float
    expected: float
    norm_ratio: float
    informative: bool
    sized: bool

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the array."""
        scaled = not self.sized or 1 / NORM_FACTOR <= self.norm_ratio <= NORM_FACTOR
        return scaled and (not self.informative or self.share >= THRESHOLD * self.expected)


def check_source(linear_map: LinearMap, rows: Array) -> SourceCheck | None:
    """Compare an array's first rows, (m, d_source), with what a map knows of its source.

    An unrelated deviation has a part of k/d ± √(2k)/d in k directions of d dimensions. None when
    the map knows nothing of its source, or when there are no rows or not all are finite.
    """
    mean, spread = linear_map.source_mean, linear_map.source_spread
    sample = linear_map.prepared(np.asarray(rows[:SAMPLE_ROWS], np.float64))
    if mean is None or spread is None or len(sample) == 0 or not np.isfinite(sample).all():
        return None
    norm = float((mean**2 + spread**2).sum())
    norm_ratio = float((sample**2).sum() / len(sample)) / norm if norm > 0 else 1.0
    directions, share, expected, informative = linear_map.source_directions, 0.0, 0.0, False
    if directions is not None and len(directions):
        lengths = np.linalg.norm(directions, axis=1)
        deviation = sample - mean
        total = float((deviation**2).sum())
        along = float(((deviation @ (directions.T / lengths)) ** 2).sum())
        share = along / total if total > 0 else 1.0
        expected = float((lengths**2).sum() / (spread**2).sum())
        k, d = directions.shape
        chance = (k + INFORMATIVE_DEVIATIONS * np.sqrt(2 * k)) / d
        # Directions of fewer rows than dimensions fit those rows better than any fresh ones.
        n_fit = linear_map.info.get("n")
        trusted = len(sample) * k >= MIN_NUMBERS and (n_fit is None or n_fit >= d)
        informative = trusted and bool(THRESHOLD * expected > chance)
    sized = sample.size >= MIN_NORM_NUMBERS
    return SourceCheck(share, expected, norm_ratio, informative, sized)


def require_source(linear_map: LinearMap, rows: Array, *, name: str) -> str:
    """Return a sentence on an array's first rows; raise SpaceMismatchError if of another space.

    `rows` are (m, d_source), `name` is what the sentence calls the array.
    """
    check = check_source(linear_map, rows)
    space = linear_map.source.name
    if check is None:
        return (
            f"{name}: not checked to be vectors of {space}, of which map {linear_map.name} holds no "
            "statistics; mapped all the same"
        )
    finding = (
        f"{100 * check.share:.0f} % of its deviation from {space}'s mean lies in {space}'s main "
        f"directions (there it is {100 * check.expected:.0f} %), and its mean squared norm is "
        f"{check.norm_ratio:.2g} times {space}'s"
    )
    if not check.passed:
        raise SpaceMismatchError(
            f"{name} does not look like features of {space}: {finding}; is it the map's target, "
            "another network, or normalised otherwise? --force maps it all the same"
        )
    if not check.informative:
        return (
            f"{name}: not checked to be vectors of {space}: there are too few rows, or main directions "
            f"of {space}, to recognise it by; mapped all the same"
        )
    return f"{name}: {finding}"
