"""Native accuracies that are no better than chance, and the numbering of classes that may be why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array

from intertwine.errors import Doubt

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

# Standard deviations above chance that one accuracy, and the best of many, must lie.
_ABOVE, _BEST_ABOVE = 2.33, 5.0
# Another order of classes must be better by this factor: some are confused by a good network too.
_MUCH_BETTER = 1.2
# Matching classes costs the cube of their number.
_MOST_CLASSES = 2000
_QUESTION = "are labels.npy and its head in the same order of classes?"


def label_doubts(name: str, predictions: Array, labels: Array, n_classes: int) -> list[str]:
    """Return a doubt about a trained network that its labels do not fit, if there is one.

    Both predictions, by its own head, and labels are (n,) class numbers 0 … K−1.
    """
    n, right = len(labels), int((predictions == labels).sum())
    shift, shifted = _best_shift(predictions, labels, n_classes)
    at_chance = right <= _bar(n, n_classes, _ABOVE)
    statement = f"native accuracy of {name} is {100 * right / n:.1f} %"
    if at_chance:
        statement += f", {_beside_chance(right, n, n_classes)} chance {_percent(1 / n_classes)}"
    if shifted > max(right, _bar(n, n_classes, _BEST_ABOVE)):
        reach = f"labels shifted by {_classes(shift)} reach {100 * shifted / n:.1f} %"
        return [Doubt(f"{statement}: {_QUESTION} {reach}")]
    other = _other_order(predictions, labels, n_classes)
    if other is not None and other > _MUCH_BETTER * right / n:
        reach = f"with classes numbered in another order {100 * other:.1f} % would be right"
        return [Doubt(f"{statement}: {_QUESTION} {reach}")]
    if not at_chance:
        return []
    if _too_few(right, n, n_classes):
        return [f"{statement}: more evaluation rows are needed to say so"]
    return [
        Doubt(
            f"{statement}: {_QUESTION} Or are the rows of {name}.npy in another order than labels?"
        )
    ]


def _bar(n: int, n_classes: int, above: float) -> float:
    """Return the number of rows that chance gets right, and some standard deviations more."""
    chance = 1 / n_classes
    return n * chance + above * float(np.sqrt(n * chance * (1 - chance)))


def _beside_chance(right: int, n: int, n_classes: int) -> str:
    """Return how an accuracy compares to chance, where it is not above it."""
    if right * n_classes < n:
        return "below"
    return (
        "which so few rows cannot tell from" if _too_few(right, n, n_classes) else "no better than"
    )


def _too_few(right: int, n: int, n_classes: int) -> bool:
    """Whether even an accuracy of 100 % would not stand out from chance."""
    return right * n_classes > n and _bar(n, n_classes, _ABOVE) >= n


def _best_shift(predictions: Array, labels: Array, n_classes: int) -> tuple[int, int]:
    """Return the shift of labels, other than none, that makes most rows right, and how many."""
    offsets = (predictions.astype(np.int64) - labels) % n_classes
    counts = np.bincount(offsets, minlength=n_classes)
    counts[0] = 0
    best = int(counts.argmax())
    return best if 2 * best <= n_classes else best - n_classes, int(counts[best])


def _classes(shift: int) -> str:
    size = abs(shift)
    each = f"each {'plus' if shift > 0 else 'less'} {size}"
    return f"one class ({each})" if size == 1 else f"{size} classes ({each})"


def _other_order(predictions: Array, labels: Array, n_classes: int) -> float | None:
    """Return the share right when classes are matched on every other row; None where it is chance."""
    if n_classes > _MOST_CLASSES or len(labels) < 4:
        return None
    shape, half = (n_classes, n_classes), slice(None, None, 2)
    ones = np.ones(len(labels[half]))
    table = coo_array((ones, (predictions[half], labels[half])), shape=shape).toarray()
    order = linear_sum_assignment(table, maximize=True)[1]
    tested, truth = order[predictions[1::2]], labels[1::2]
    right = int((tested == truth).sum())
    return right / len(truth) if right > _bar(len(truth), n_classes, _BEST_ABOVE) else None


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
