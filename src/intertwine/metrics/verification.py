"""Verification: from the scores of matched and mismatched pairs to ROC, AUC, EER and TAR at FAR.

A pair is accepted if its score is above the threshold. TAR is the share of matched pairs accepted,
FAR the share of mismatched ones, FRR = 1 − TAR. Equal scores are accepted together, one step of
the curve. Everything takes weights, one row of them a bootstrap replicate, for one sort in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from intertwine.errors import InputError
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.numerics.arrays import Array


@dataclass(frozen=True)
class Roc:
    """A receiver operating characteristic, or one a replicate.

    Parameters
    ----------
    thresholds
        (n_steps,) the distinct scores, descending, then −∞: the last accepts every pair.
    far, tar
        (n_steps,) or (n_replicates, n_steps), ascending from 0 to 1.
    """

    thresholds: Array
    far: Array
    tar: Array

    def auc(self) -> Array:
        """Return the area under the curve, () or (n_replicates,).

        The chance that a matched pair scores above a mismatched one, equal scores counting half:
        the trapezoids under the steps.
        """
        height = self.tar[..., 1:] + self.tar[..., :-1]
        return np.asarray((np.diff(self.far, axis=-1) * height).sum(axis=-1) / 2)

    def eer(self) -> Array:
        """Return the equal error rate, () or (n_replicates,).

        Where FAR = FRR on the curve whose steps are joined by straight lines; a threshold with
        both equal is exact.
        """
        gap = self.far + self.tar - 1.0  # FAR − FRR, ascending from −1 to 1
        after = np.argmax(gap >= 0, axis=-1)[..., None]
        low, high = (np.take_along_axis(gap, step, -1) for step in (after - 1, after))
        start, end = (np.take_along_axis(self.far, step, -1) for step in (after - 1, after))
        return np.asarray((start - (end - start) * low / (high - low))[..., 0])

    def tar_at(self, far: float) -> Array:
        """Return the largest TAR among thresholds whose FAR is at most `far`; nothing between them.

        Parameters
        ----------
        far
            In 0 … 1.

        Returns
        -------
        tar
            () or (n_replicates,).

        Raises
        ------
        InputError
            For a rate outside 0 … 1.
        """
        if not 0 <= far <= 1:
            raise InputError(f"got FAR {far}, expected a number in 0 … 1")
        # TAR ascends too, so the last admissible step has the largest.
        last = (self.far <= far).sum(axis=-1)[..., None] - 1
        return np.asarray(np.take_along_axis(self.tar, last, -1)[..., 0])


def roc(scores: Array, same: Array, weights: Array | None = None) -> Roc | None:
    """Return the ROC of scored pairs.

    Fawcett, *An introduction to ROC analysis*, Pattern Recognition Letters 27 (2006), algorithm 2.

    Parameters
    ----------
    scores
        (n,) larger is more alike.
    same
        (n,) bool, whether a pair is matched.
    weights
        (n,) weights of the pairs, (n_replicates, n) for a curve a replicate, or None for 1 each.

    Returns
    -------
    roc
        None where the matched or the mismatched pairs have no weight. Of replicates, those without
        such weight are left out; the same ones for any scores of the same pairs.

    Raises
    ------
    InputError
        For shapes that do not fit, scores that are not finite, or weights that are not numbers of
        at least 0.
    """
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    weights = np.ones(scores.shape) if weights is None else np.asarray(weights, np.float64)
    _check(scores, same, weights)
    if not same.any() or same.all():
        return None
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of runs of equal scores
    thresholds = np.append(scores[order][ends], -np.inf)
    matched = _cumulative(weights, order, ends, same)
    mismatched = _cumulative(weights, order, ends, ~same)
    defined = (matched[..., -1] > 0) & (mismatched[..., -1] > 0)
    if not defined.any():
        return None
    if weights.ndim == 2 and not defined.all():
        matched, mismatched = matched[defined], mismatched[defined]
    return Roc(thresholds, _shares(mismatched), _shares(matched))


def _cumulative(weights: Array, order: Array, ends: Array, kind: Array) -> Array:
    """Return the weight of one kind of pairs accepted at each threshold, (…, n_steps)."""
    # The columns of this kind alone are summed; `place` is how many a step has included.
    chosen = order[kind[order]]
    place = np.cumsum(kind[order])[ends]
    total = np.zeros((*weights.shape[:-1], len(chosen) + 1))
    np.cumsum(weights[..., chosen], axis=-1, out=total[..., 1:])
    return total[..., np.append(0, place)]


def _shares(accepted: Array) -> Array:
    accepted /= accepted[..., -1:].copy()
    return accepted


def _check(scores: Array, same: Array, weights: Array) -> None:
    if scores.ndim != 1 or same.shape != scores.shape:
        raise InputError(
            f"got scores {scores.shape} and same {same.shape}, expected (n,) of both, a pair each"
        )
    if weights.ndim not in {1, 2} or weights.shape[-1] != len(scores):
        raise InputError(
            f"got weights {weights.shape} for {counted(len(scores), 'pair')}, expected (n,) or (replicates, n)"
        )
    if not np.isfinite(scores).all():
        pair = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise InputError(f"got score {scores[pair]} at pair {pair}, expected finite numbers")
    if not (weights >= 0).all() or np.isinf(weights).any():
        raise InputError("got weights that are negative or not finite, expected at least 0")


# The type returned for weights depends on their dimensions, which types cannot express: hence Any.
@overload
def auc(scores: Array, same: Array, weights: None = None) -> float | None: ...
@overload
def auc(scores: Array, same: Array, weights: Array) -> Any: ...
def auc(scores: Array, same: Array, weights: Array | None = None) -> Any:
    """Return the area under the ROC: `Roc.auc`, with the parameters and errors of `roc`.

    Returns
    -------
    auc
        A number, or None where undefined; with weights (n_replicates, n) an array (n_defined,) of
        the replicates that hold both kinds of pairs.
    """
    return _read(roc(scores, same, weights), Roc.auc, weights)


@overload
def eer(scores: Array, same: Array, weights: None = None) -> float | None: ...
@overload
def eer(scores: Array, same: Array, weights: Array) -> Any: ...
def eer(scores: Array, same: Array, weights: Array | None = None) -> Any:
    """Return the equal error rate: `Roc.eer`, with the parameters and errors of `roc`.

    Returns
    -------
    eer
        As of `auc`.
    """
    return _read(roc(scores, same, weights), Roc.eer, weights)


@overload
def tar_at_far(scores: Array, same: Array, far: float, weights: None = None) -> float | None: ...
@overload
def tar_at_far(scores: Array, same: Array, far: float, weights: Array) -> Any: ...
def tar_at_far(scores: Array, same: Array, far: float, weights: Array | None = None) -> Any:
    """Return the TAR at a FAR: `Roc.tar_at`, with the parameters and errors of `roc`.

    Returns
    -------
    tar
        As of `auc`.
    """
    return _read(roc(scores, same, weights), lambda curve: curve.tar_at(far), weights)


def _read(curve: Roc | None, number: Callable[[Roc], Array], weights: Array | None) -> Any:
    """Return a number of a curve: one, or one a replicate; none where nothing is defined."""
    many = weights is not None and np.ndim(weights) == 2
    if curve is None:
        return np.empty(0) if many else None
    return number(curve) if many else float(number(curve))
