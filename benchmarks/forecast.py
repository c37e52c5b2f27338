"""Whether the plan's forecast holds for a migration: its intervals against fresh items.

    python benchmarks/forecast.py --set FOLDER --source A --target B [--json FILE]

For each of some random splits of the folder's items: a forecast from so many pairs; then the map it
recommends, fitted on all of these, searched in galleries of as many items that no forecast saw.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from intertwine.features.feature_set import FeatureSet
from intertwine.stores.store import METRICS
from intertwine.studies.plan.folds import Folds
from intertwine.studies.plan.forecast import from_pairs, plain_recall
from intertwine.studies.plan.measure import Measure
from intertwine.studies.plan.pairs import Pairs
from intertwine.studies.plan.scores import OPTIONS, Direction, native_table


def taken(whole: Pairs, rows: np.ndarray) -> Pairs:
    """Return some of the pairs."""
    return Pairs(
        whole.source, whole.target, whole.a[rows], whole.b[rows], None, None, whole.names, []
    )


def reached(direction: Direction, fitted: Any) -> float:
    """Return the recall of a map on pairs that it has not seen."""
    native = native_table(direction.pairs, direction.metric)
    return float(plain_recall(native, direction.whole(fitted)).mean())


def split(whole: Pairs, options: argparse.Namespace, number: int) -> list[dict[str, Any]]:
    """Forecast from some pairs and measure on fresh ones; return one row per option."""
    order = np.random.default_rng([options.seed, number]).permutation(whole.n)
    n = options.pairs
    own = taken(whole, order[:n])
    fresh = [
        taken(whole, order[start : start + n]) for start in range(n, n * (1 + options.galleries), n)
    ]
    folds = Folds.of(own, options.folds, seed=options.seed)
    unit = own.directions if options.metric == "cosine" else None
    scaled = None if unit is None else Folds.of(unit, options.folds, seed=options.seed)
    measure = Measure(native_table(own, options.metric))
    rows = []
    for option in OPTIONS:
        direction = Direction(own, option, options.metric)
        both = None if scaled is None else (direction.scaled(scaled.fine[0].pairs), scaled)
        found = from_pairs(direction, folds, measure, scaled=both)
        forecast = measure.estimate(found.gains.recall).clipped()
        recalls = [reached(Direction(each, option, options.metric), found.final) for each in fresh]
        rows.append(
            {
                "split": number,
                "option": option,
                "method": found.candidate.method,
                "alpha": found.candidate.alpha,
                "scaled": found.gained is not None,
                "forecast": forecast.value,
                "low": forecast.low,
                "high": forecast.high,
                "reached": float(np.mean(recalls)),
            }
        )
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how often intervals contain what was reached, how wide they are, and the mean error."""
    found = []
    for option in OPTIONS:
        mine = [row for row in rows if row["option"] == option]
        error = np.array([row["forecast"] - row["reached"] for row in mine])
        width = np.array([row["high"] - row["low"] for row in mine])
        held = sum(row["low"] <= row["reached"] <= row["high"] for row in mine)
        found.append(
            {
                "option": option,
                "splits": len(mine),
                "covered": held,
                "width_mean": float(width.mean()),
                "width_max": float(width.max()),
                "error_mean": float(error.mean()),
                "error_sd": float(error.std(ddof=1)) if len(error) > 1 else None,
                "reached": float(np.mean([row["reached"] for row in mine])),
            }
        )
    return found


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", type=Path, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--metric", choices=METRICS, default="cosine")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--galleries", type=int, default=4)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("forecast.json"))
    options = parser.parse_args()
    opened = FeatureSet.open(options.set)
    whole = Pairs.of(opened, options.source, options.target, metric=options.metric, rows=opened.n)
    needed = options.pairs * (1 + options.galleries)
    if whole.n < needed:
        parser.error(f"{options.set} holds {whole.n} items, expected at least {needed}")
    rows: list[dict[str, Any]] = []
    for number in range(options.splits):
        rows += split(whole, options, number)
        print(json.dumps(rows[-2]), json.dumps(rows[-1]), sep="\n", flush=True)
    result = {
        "set": options.set.name,
        "source": options.source,
        "target": options.target,
        "metric": options.metric,
        "pairs": options.pairs,
        "galleries": options.galleries,
        "folds": options.folds,
        "options": summary(rows),
        "splits": rows,
    }
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["options"], indent=1))


if __name__ == "__main__":
    main()
