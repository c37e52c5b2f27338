"""Verification accuracy over folds, with each fold's threshold chosen on the others.

The protocol of Labeled Faces in the Wild, view 2: Huang, Ramesh, Berg & Learned-Miller, University
of Massachusetts technical report 07-49 (2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array


@dataclass(frozen=True)
class FoldAccuracy:
    """Accuracy of verification, fold by fold.

    Parameters
    ----------
    scores
        (n,) each pair's score when its fold is the test fold.
    correct
        (n,) bool, whether the decision on it is right.
    thresholds, accuracies
        (n_folds,) in the order of the folds.
    """

    scores: Array
    correct: Array
    thresholds: Array
    accuracies: Array

    @property
    def mean(self) -> float:
        """Mean accuracy over folds, 0 to 1."""
        return float(self.accuracies.mean())

    @property
    def std(self) -> float:
        """Population standard deviation over folds."""
        return float(self.accuracies.std())


def best_threshold(scores: Array, same: Array) -> float:
    """Return the threshold with the highest accuracy on training pairs.

    Candidates are the midpoints between neighbouring sorted scores; a pair is accepted when its
    score is above the threshold; among equally good ones the highest wins.

    Parameters
    ----------
    scores
        (n,) with n at least 2.
    same
        (n,) bool.

    Returns
    -------
    threshold
        One of the midpoints.
    """
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    matched_below = np.append(0, np.cumsum(same[order]))
    midpoints = ascending[:-1] / 2 + ascending[1:] / 2
    # Ties, and midpoints that round up to a neighbour, are counted as `score > threshold` counts.
    below = np.searchsorted(ascending, midpoints, side="right")
    right = (matched_below[-1] - matched_below[below]) + (below - matched_below[below])
    return float(midpoints[np.flatnonzero(right == right.max())[-1]])


def fold_accuracy(scores: Array, same: Array, fold: Array) -> FoldAccuracy:
    """Return the accuracy over folds.

    Parameters
    ----------
    scores
        (n,) scores of pairs; or (n_folds, n) where row k holds the scores that count when fold k is
        tested: its own pairs, and those of the other folds, on which its threshold is chosen.
    same
        (n,) bool.
    fold
        (n,) int, 0 … n_folds − 1.

    Returns
    -------
    accuracy
        By fold and by pair.
    """
    n_folds = int(fold.max()) + 1
    table = np.broadcast_to(scores, (n_folds, len(fold)))
    tested = table[fold, np.arange(len(fold))]
    thresholds = np.array(
        [best_threshold(table[k][fold != k], same[fold != k]) for k in range(n_folds)]
    )
    correct = (tested > thresholds[fold]) == same
    accuracies = np.array([correct[fold == k].mean() for k in range(n_folds)])
    return FoldAccuracy(tested, correct, thresholds, accuracies)


def weighted_means(correct: Array, fold: Array, weights: Array) -> Array:
    """Return the mean over folds of the weighted share of right decisions, for each weighting.

    `correct` is (n,) bool, `fold` (n,) int and `weights` (n_replicates, n), not negative; the means
    are (n_replicates,). Folds without weight are left out of a replicate's mean, which is NaN where
    no fold has any.
    """
    membership = np.eye(int(fold.max()) + 1)[fold]  # (n, n_folds)
    mass = weights @ membership
    right = weights @ (membership * correct[:, None])
    shares = np.divide(right, mass, out=np.zeros_like(mass), where=mass > 0)
    counted = (mass > 0).sum(axis=1)
    blank = np.full(len(mass), np.nan)
    return np.asarray(np.divide(shares.sum(axis=1), counted, out=blank, where=counted > 0))
