"""How far `fast` and `float32` are from `float64`, on real features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.estimators.ridge import ridge
from intertwine.features.feature_set import FeatureSet
from intertwine.moments.accumulators import Products
from intertwine.moments.accumulators.precisions import HALF_ERRORS
from intertwine.passes.moments.joint import add_rows, empty_moments

if TYPE_CHECKING:
    from intertwine.moments.moments import Moments

KINDS = {
    "float32": ("float32", HALF_ERRORS[0]),
    **{f"fast, {k + 1} halves": ("fast", error) for k, error in enumerate(HALF_ERRORS)},
}


def exactness(fit: str, evaluation: str, alpha: float = 300.0) -> dict[str, Any]:
    """Return the largest changes of R² and accuracy of all maps, by precision."""
    rows, held_out = FeatureSet.open(fit), FeatureSet.open(evaluation)
    names = list(rows.heads)
    features = {a: x.astype(np.float64) for a, x in held_out.read(names, range(held_out.n)).items()}
    exact = _scores(_moments(rows, names, "float64", HALF_ERRORS[0]), held_out, features, alpha)
    table = []
    for name, (precision, error) in KINDS.items():
        found = _scores(_moments(rows, names, precision, error), held_out, features, alpha)
        change = np.abs(found - exact).max(axis=0)
        table.append({"precision": name, "r2": change[0], "accuracy": change[1]})
    return {"n": rows.n, "n_eval": held_out.n, "maps": len(exact), "table": table}


def _moments(rows: FeatureSet, names: list[str], precision: str, error: float) -> Moments:
    moments = empty_moments(rows, names, Products(precision, fast_error=error))
    add_rows(moments, rows)
    return moments


def _scores(moments: Moments, held_out: FeatureSet, features: Any, alpha: float) -> Any:
    """Return R² and accuracy of every map, (maps, 2)."""
    scores = []
    for a in features:
        for b, fitted in ridge(moments, a, [x for x in features if x != a], alpha=alpha).items():
            mapped, truth, head = fitted.apply(features[a]), features[b], held_out.heads[b]
            spread = ((truth - truth.mean(axis=0)) ** 2).sum()
            right = (mapped @ head.weight.T + head.bias).argmax(axis=1) == held_out.labels
            scores.append([1 - ((mapped - truth) ** 2).sum() / spread, right.mean()])
    return np.array(scores)
