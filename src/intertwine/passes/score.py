"""The pass that scores maps: features through a folded map and head, counted as they go by.

A map from A to B followed by B's head is itself a linear classifier of A's features, so one product
with the folded weights scores it. Only counts are kept: memory does not grow with the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.arrays import check_finite, resolve_precision

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from intertwine.arrays import Array
    from intertwine.features.feature_set import FeatureSet
    from intertwine.linear_map import LinearMap
    from intertwine.spaces import Head

# Rows scored at a time; bounds one (rows, K) block of logits.
CHUNK_ROWS = 1024
TOP = 5


@dataclass(frozen=True)
class Classifier:
    """A linear classifier of one space's features.

    Parameters
    ----------
    weight
        (K, d).
    bias
        (K,).
    """

    weight: Array
    bias: Array

    @classmethod
    def of_head(cls, head: Head) -> Classifier:
        """Return a head as it is."""
        return cls(np.asarray(head.weight, np.float64), np.asarray(head.bias, np.float64))

    @classmethod
    def folded(cls, linear_map: LinearMap, head: Head) -> Classifier:
        """Return a map followed by its target's head: W_B(Mx + b) + b_B."""
        weight = np.asarray(head.weight, np.float64)
        bias = weight @ linear_map.bias + np.asarray(head.bias, np.float64)
        return cls(weight @ linear_map.weight, bias)


@dataclass
class Counts:
    """What one classifier did on the rows scored.

    Parameters
    ----------
    n
        Rows.
    correct, correct_top5
        Rows whose label came first, and among the first five.
    both, gained, lost
        Rows right both here and by the source's own head, right only here, right only there.
    differing
        Rows predicted unlike the source's own head.
    agreeing
        Rows predicted like the target's own head.
    """

    n: int = 0
    correct: int = 0
    correct_top5: int = 0
    both: int = 0
    gained: int = 0
    lost: int = 0
    differing: int = 0
    agreeing: int = 0

    def add(self, logits: Array, labels: Array, own: Array, target: Array | None) -> None:
        """Count one chunk.

        Parameters
        ----------
        logits
            (rows, K).
        labels, own, target
            (rows,) class numbers: the truth, the predictions of the source's own head, and those
            of the target's own.
        """
        predicted = logits.argmax(axis=1)
        right, right_own = predicted == labels, own == labels
        of_label = np.take_along_axis(logits, labels[:, None], axis=1)
        self.n += len(labels)
        self.correct += int(right.sum())
        self.correct_top5 += int(((logits > of_label).sum(axis=1) < TOP).sum())
        self.both += int((right & right_own).sum())
        self.gained += int((right & ~right_own).sum())
        self.lost += int((right_own & ~right).sum())
        self.differing += int((predicted != own).sum())
        if target is not None:
            self.agreeing += int((predicted == target).sum())


def predict(feature_set: FeatureSet, name: str, head: Head, *, precision: str = "auto") -> Array:
    """Return the class numbers that a space's own head predicts, (n,) int32."""
    classifier = Classifier.of_head(head)
    predictions = np.empty(feature_set.n, np.int32)
    for rows, features in _features(feature_set, name, precision):
        predictions[rows] = _logits(classifier, features).argmax(axis=1)
    return predictions


def count(
    feature_set: FeatureSet,
    name: str,
    classifiers: Mapping[str, Classifier],
    *,
    labels: Array,
    predictions: Mapping[str, Array],
    targets: Mapping[str, str] | None = None,
    precision: str = "auto",
) -> dict[str, Counts]:
    """Score several classifiers of one space in one walk over its rows.

    Parameters
    ----------
    feature_set
        The rows to score.
    name
        The space whose features are classified.
    classifiers
        By any key.
    labels
        (n,) class numbers 0 … K−1.
    predictions
        (n,) class numbers that each space's own head predicts, by space; `name`'s must be there.
    targets
        The space a classifier's predictions are compared with, by key; the key itself when
        omitted.
    precision
        `auto`, `float64` or `float32`.

    Returns
    -------
    counts
        By key.
    """
    counts = {key: Counts() for key in classifiers}
    for rows, features in _features(feature_set, name, precision):
        for key, classifier in classifiers.items():
            target = predictions.get((targets or {}).get(key, key))
            counts[key].add(
                _logits(classifier, features),
                labels[rows],
                predictions[name][rows],
                None if target is None else target[rows],
            )
    return counts


def residuals(
    feature_set: FeatureSet, name: str, maps: Mapping[str, LinearMap], *, precision: str = "auto"
) -> dict[str, float]:
    """Return Σ‖B − B̂‖² of maps from one space, by target, over all rows."""
    sums = dict.fromkeys(maps, 0.0)
    names = [name, *(target for target in maps if target != name)]
    dtype = _dtype(feature_set, name, precision)
    weights = {a: (m.weight.T.astype(dtype), m.bias.astype(dtype)) for a, m in maps.items()}
    for _, chunk in feature_set.chunks(names, chunk_rows=CHUNK_ROWS):
        features = chunk[name].astype(dtype, copy=False)
        for target, (weight, bias) in weights.items():
            error = features @ weight
            error += bias
            error -= chunk[target]
            sums[target] += float(np.einsum("ij,ij->", error, error, dtype=np.float64))
    return sums


def total_spread(feature_set: FeatureSet, names: Sequence[str]) -> dict[str, float]:
    """Return Σ‖B − mean(B)‖² by space, the mean taken on these rows; exactly 0 for constants."""
    return {name: _spread(feature_set, name) for name in names}


def _spread(feature_set: FeatureSet, name: str) -> float:
    # Differences from the first row are exact zeros where nothing varies.
    first = feature_set.read([name], range(1))[name].astype(np.float64)
    mean = np.zeros(feature_set.spaces[name].dim)
    for _, chunk in feature_set.chunks([name]):
        mean += (chunk[name] - first).sum(axis=0) / feature_set.n
    return sum(
        float(((chunk[name] - first - mean) ** 2).sum()) for _, chunk in feature_set.chunks([name])
    )


def _dtype(feature_set: FeatureSet, name: str, precision: str) -> np.dtype[np.floating]:
    dim = feature_set.spaces[name].dim
    chosen = resolve_precision(precision, dim=dim, n_rows=feature_set.n)
    # Scores of `fast` are float32's: its rounding is of the moments only.
    return np.dtype("float64" if chosen == "float64" else "float32")


def _features(feature_set: FeatureSet, name: str, precision: str) -> Iterator[tuple[slice, Array]]:
    """Walk over one space's rows in the working dtype, checked."""
    dtype = _dtype(feature_set, name, precision)
    for start in range(0, feature_set.n, CHUNK_ROWS):
        rows = range(start, min(feature_set.n, start + CHUNK_ROWS))
        chunk = feature_set.read([name], rows)[name]
        check_finite(chunk, name=f"{feature_set}: {name}", rows=rows)
        yield slice(rows.start, rows.stop), chunk.astype(dtype, copy=False)


def _logits(classifier: Classifier, features: Array) -> Array:
    logits = features @ classifier.weight.T.astype(features.dtype, copy=False)
    logits += classifier.bias.astype(features.dtype, copy=False)
    return np.asarray(logits)
