"""A similarity score with its interval, its null and its calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

# Where the null is this close to the best value, no score distinguishes two spaces from unrelated ones.
SATURATED = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A score, its 95 % interval, and the score of unrelated spaces of the same size.

    Parameters
    ----------
    score
        The score; None where it is undefined.
    low, high
        The interval; None where it is undefined.
    null
        The mean score of unrelated spaces: same rows, same spectra, no common cause.
    best
        The score of a space against itself.
    reasons
        Why something is None, one short clause each.
    """

    score: float | None
    low: float | None
    high: float | None
    null: float | None
    best: float
    reasons: tuple[str, ...] = ()

    @classmethod
    def undefined(cls, best: float, reason: str) -> Estimate:
        """Return an estimate of nothing, with the reason."""
        return cls(None, None, None, None, best, (reason,))

    @property
    def saturated(self) -> bool:
        """Whether unrelated spaces of this size already reach the best value."""
        return self.null is not None and abs(self.best - self.null) < SATURATED

    def calibrate(self, value: float | None) -> float | None:
        """Return (value − null) / (best − null): 0 for unrelated spaces, 1 for one and the same."""
        if value is None or self.null is None or self.saturated:
            return None
        return (value - self.null) / (self.best - self.null)

    def to_row(self, name: str) -> dict[str, float | None]:
        """Return the estimate as a report's keys, each starting with the measure's name."""
        ends = sorted(
            end for end in (self.calibrate(self.low), self.calibrate(self.high)) if end is not None
        )
        low, high = ends if len(ends) == 2 else (None, None)
        return {
            name: self.score,
            f"{name}_low": self.low,
            f"{name}_high": self.high,
            f"{name}_null": self.null,
            f"{name}_calibrated": self.calibrate(self.score),
            f"{name}_calibrated_low": low,
            f"{name}_calibrated_high": high,
        }


@dataclass(frozen=True)
class Null:
    """The mean of a score between unrelated spaces, and the standard deviation of one score.

    `sd` includes the error of `mean`.
    """

    mean: float
    sd: float

    @classmethod
    def of(cls, scores: Array) -> Null:
        """Return the null of (draws,) scores."""
        spread = float(scores.var(ddof=1)) if len(scores) > 1 else 0.0
        return cls(float(scores.mean()), float(np.sqrt(spread * (1 + 1 / len(scores)))))
