"""The pass that scores maps: features through a folded map and head, counted as they go by.

A map from A to B followed by B's head is itself a linear classifier of A's features, so one product
with the folded weights scores it. Only counts are kept: memory does not grow with the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.numerics.arrays import (
    check_finite,
    like,
    namespace,
    resolve_precision,
    to_device,
    to_numpy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Head

TOP = 5


@dataclass
class Counts:
    """Counts of one classifier's predictions on n rows scored.

    `both`, `gained`, `lost`: rows right both here and by the source's own head, right only here,
    right only there. `differing`: rows predicted unlike the source's own head. `agreeing`: rows
    predicted like the target's own head.
    """

    n: int = 0
    correct: int = 0
    correct_top5: int = 0
    both: int = 0
    gained: int = 0
    lost: int = 0
    differing: int = 0
    agreeing: int = 0

    def add(self, logits: Any, labels: Array, own: Array, target: Array | None) -> None:
        """Count one chunk of logits, (rows, K) of any array library.

        `labels` are the truth, `own` and `target` the class numbers that the source's and the
        target's own heads predict, (rows,) each. No more than two numbers a row leave the logits'
        device.
        """
        xp = namespace(logits)
        predicted = to_numpy(xp.argmax(logits, axis=1))
        right, right_own = predicted == labels, own == labels
        of_label = xp.take_along_axis(logits, like(labels[:, None], logits), axis=1)
        above = to_numpy(xp.sum(xp.astype(logits > of_label, xp.int32), axis=1))
        self.n += len(labels)
        self.correct += int(right.sum())
        self.correct_top5 += int((above < TOP).sum())
        self.both += int((right & right_own).sum())
        self.gained += int((right & ~right_own).sum())
        self.lost += int((right_own & ~right).sum())
        self.differing += int((predicted != own).sum())
        if target is not None:
            self.agreeing += int((predicted == target).sum())


# Rows read at a time, and logits scored at a time: these bound one (rows, K) block of them.
CHUNK_ROWS = 1024
MOST_LOGITS = 1 << 24


@dataclass(frozen=True)
class Classifier:
    """A linear classifier of one space's features: weight (K, d) and bias (K,)."""

    weight: Array
    bias: Array

    @classmethod
    def of_head(cls, head: Head) -> Classifier:
        """Return a head as it is."""
        return cls(np.asarray(head.weight, np.float64), np.asarray(head.bias, np.float64))

    @classmethod
    def folded(cls, linear_map: LinearMap, head: Head) -> Classifier:
        """Return a map followed by its target's head: W_B(Mx + b) + b_B."""
        linear_map.require_affine("a map folded into a head")
        weight = np.asarray(head.weight, np.float64)
        bias = weight @ linear_map.bias + np.asarray(head.bias, np.float64)
        return cls(weight @ linear_map.weight, bias)


class Stack:
    """Classifiers of one space, their weights in one matrix: one product returns all logits."""

    def __init__(
        self, classifiers: Mapping[str, Classifier], dtype: np.dtype[Any], device: str = "cpu"
    ) -> None:
        listed = list(classifiers.values())
        weight = _cast(
            np.concatenate([each.weight for each in listed]).T, dtype, "weights of classifiers"
        )
        self.weight = to_device(np.ascontiguousarray(weight), device)
        self.bias = to_device(np.concatenate([each.bias for each in listed]).astype(dtype), device)
        edges = np.cumsum([0, *(len(each.bias) for each in listed)]).tolist()
        self.columns = dict(zip(classifiers, map(slice, edges, edges[1:]), strict=False))
        self.chunk_rows = max(1, min(CHUNK_ROWS, MOST_LOGITS // edges[-1]))

    def logits(self, features: Array) -> dict[str, Any]:
        """Return the logits of some rows, (rows, K) by key, on the device."""
        logits = like(features, self.weight) @ self.weight
        logits += self.bias
        return {key: logits[:, columns] for key, columns in self.columns.items()}


def predict(
    feature_set: FeatureSet,
    name: str,
    head: Head,
    *,
    precision: str = "auto",
    device: str = "cpu",
) -> Array:
    """Return the class numbers that a space's own head predicts, (n,) int32."""
    dtype = _dtype(feature_set, name, precision)
    stack = Stack({name: Classifier.of_head(head)}, dtype, device)
    predictions = np.empty(feature_set.n, np.int32)
    for rows, features in _features(feature_set, name, dtype, stack.chunk_rows):
        logits = stack.logits(features)[name]
        predictions[rows] = to_numpy(namespace(logits).argmax(logits, axis=1))
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
    device: str = "cpu",
) -> dict[str, Counts]:
    """Score several classifiers of one space in one walk over its rows, one product a chunk.

    `labels` are (n,) class numbers 0 … K−1; `predictions` are those that each space's own head
    predicts, by space, and must hold `name`. A classifier is compared with the predictions of the
    space that `targets` names for its key, or that is the key. Scores of `fast` are float32's.
    """
    counts = {key: Counts() for key in classifiers}
    if not classifiers:
        return counts
    dtype = _dtype(feature_set, name, precision)
    stack = Stack(classifiers, dtype, device)
    compared = {key: predictions.get((targets or {}).get(key, key)) for key in classifiers}
    for rows, features in _features(feature_set, name, dtype, stack.chunk_rows):
        for key, logits in stack.logits(features).items():
            target = compared[key]
            counts[key].add(
                logits,
                labels[rows],
                predictions[name][rows],
                None if target is None else target[rows],
            )
    return counts


def residuals(
    feature_set: FeatureSet, name: str, maps: Mapping[str, LinearMap], *, precision: str = "auto"
) -> dict[str, float]:
    """Return Σ‖B − B̂‖² of maps from one space, by target, over all rows."""
    for each in maps.values():
        each.require_affine("a sum of residuals")
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


def _cast(array: Array, dtype: np.dtype[Any], what: str) -> Array:
    """Return numbers in the working dtype, refusing those that it cannot hold."""
    with np.errstate(over="ignore"):
        cast: Array = array.astype(dtype, copy=False)
    if cast.dtype.itemsize < array.dtype.itemsize and not np.isfinite(cast).all():
        raise InputError(f"{what} are too large for {dtype} scores; rescale them")
    return cast


def _features(
    feature_set: FeatureSet, name: str, dtype: np.dtype[Any], chunk_rows: int
) -> Iterator[tuple[slice, Array]]:
    """Walk over one space's rows in the working dtype, checked."""
    for start in range(0, feature_set.n, chunk_rows):
        rows = range(start, min(feature_set.n, start + chunk_rows))
        chunk = feature_set.read([name], rows)[name]
        check_finite(chunk, name=f"{feature_set}: {name}", rows=rows)
        yield slice(rows.start, rows.stop), _cast(chunk, dtype, f"{feature_set}: {name}: features")
