"""Forecasts as the rows of the plan's report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.studies.plan.decision import backfilled
from intertwine.studies.plan.domain import compared, least_known
from intertwine.studies.plan.forecast import plain_recall
from intertwine.studies.plan.measure import Estimate, Gains, K, listed
from intertwine.studies.plan.pairs import MIN_PAIRS
from intertwine.studies.plan.scores import BRIDGE, CONVERT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.studies.plan.decision import Judge
    from intertwine.studies.plan.forecast import Forecast
    from intertwine.studies.plan.measure import Measure, Tables
    from intertwine.studies.plan.pairs import Pairs

    Row = dict[str, Any]

DEPTHS = (10, 20, 50, 100)
# Items that a list of the re-ranking table holds, a group's more than the deepest.
RERANK_LIST = 160
SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)
ABOVE = (1e-3, 1e-2, 1e-1)
PARTS = (8, 4, 2, 1)
# A gallery of fewer items is no gallery for k = 10.
MIN_GALLERY = 2 * K + 1
NAMES = {CONVERT: "converted", BRIDGE: "bridged"}


def score_row(measure: Measure, gains: Gains, *, certain: bool = False) -> Row:
    """Return recall, nDCG and precision with their intervals.

    With `certain`, recall is what it is by definition, with no interval about it.
    """
    row: Row = {}
    ends = {"recall": ("ci_low", "ci_high")}
    for name in ("recall", "ndcg", "precision"):
        low, high = ends.get(name, (f"{name}_low", f"{name}_high"))
        values = gains.by_name(name)
        keys = (f"{name}_at_10", low, high)
        if values is None:
            row |= dict.fromkeys(keys)
            continue
        estimate = measure.estimate(values).clipped()
        if certain and name == "recall":
            estimate = Estimate(float(values[0]), float(values[0]), float(values[0]))
        row |= dict(zip(keys, (estimate.value, estimate.low, estimate.high), strict=True))
    row["reason"] = measure.unlabelled
    return row


def recall_row(measure: Measure, values: Array) -> Row:
    """Return recall with its interval."""
    estimate = measure.estimate(values).clipped()
    return {"recall_at_10": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}


def curve_rows(judge: Judge, curves: Mapping[str, Sequence[tuple[int, Gains]]]) -> list[Row]:
    """Return what is found by the number of pairs that maps are fitted on."""
    return [
        {
            "option": option,
            "n_pairs": n,
            **recall_row(judge.measure, gains.recall),
            **_ndcg_row(judge.measure, gains.ndcg),
            **judge.share_row(gains),
        }
        for option, points in curves.items()
        for n, gains in points
    ]


def _ndcg_row(measure: Measure, values: Array | None) -> Row:
    keys = ("ndcg_at_10", "ndcg_low", "ndcg_high")
    if values is None:
        return dict.fromkeys(keys)
    estimate = measure.estimate(values).clipped()
    return dict(zip(keys, (estimate.value, estimate.low, estimate.high), strict=True))


def rerank_rows(measure: Measure, tables: Tables) -> list[Row]:
    """Return how many of the ten nearest are among the first converted items of each depth."""
    depth = min(max(RERANK_LIST, max(DEPTHS) + int(measure.sizes.max())), measure.n - 1)
    recalls = [share * measure.among_first(listed(table, depth), DEPTHS) for share, table in tables]
    values = np.sum(recalls, axis=0)
    return [
        {"depth": each, **recall_row(measure, values[place])} for place, each in enumerate(DEPTHS)
    ]


def backfill_rows(measure: Measure, tables: Tables, native: Array, a: Array) -> list[Row]:
    """Return recall by the share of items that are re-embedded."""
    order = least_known(a)
    return [
        {
            "share": share,
            **recall_row(measure, measure.of(backfilled(tables, native, order, share)).recall),
        }
        for share in SHARES
    ]


def threshold_rows(native: Array, tables: Mapping[str, Array]) -> list[Row]:
    """Return the score above which a share of all pairs of query and item lies, by option."""
    columns = {"native": native, **{NAMES[option]: table for option, table in tables.items()}}
    quantiles = {name: _upper(table) for name, table in columns.items()}
    return [
        {"share": share, **{name: found[place] for name, found in quantiles.items()}}
        for place, share in enumerate(ABOVE)
    ]


def calibration_rows(native: Array, tables: Mapping[str, Array]) -> list[Row]:
    """Return the line that turns scores of an option into native ones, by least squares."""
    return [{"option": option, **_line(table, native)} for option, table in tables.items()]


def gallery_rows(native: Array, forecasts: Iterable[Forecast]) -> list[Row]:
    """Return recall in parts of the gallery, the mean over the parts of one size."""
    n, rows = len(native), []
    for forecast in forecasts:
        for parts in PARTS:
            if n // parts < MIN_GALLERY and parts > 1:
                continue
            values = []
            for part in np.array_split(np.arange(n), parts):
                inside = np.ix_(part, part)
                recalls = [c * plain_recall(native[inside], t[inside]) for c, t in forecast.tables]
                values.append(float(np.sum(recalls, axis=0).mean()))
            recall = min(max(float(np.mean(values)), 0.0), 1.0)
            option = forecast.direction.option
            rows.append({"n_items": n // parts, "option": option, "recall_at_10": recall})
    return rows


def domain_rows(pairs: Pairs, proxy: Pairs | None, store: Array | None) -> list[Row] | None:
    """Return whether maps of one set extrapolate on another; None where there is but one.

    A store of few vectors has no moments of its own: it is only looked at under the others'.
    """
    rows = []
    if proxy is not None:
        rows.append({"of": "pairs", "under": "proxy", **compared(proxy.a, pairs.a)})
    if store is not None:
        rows.append({"of": "store", "under": "pairs", **compared(pairs.a, store)})
        if len(store) >= MIN_PAIRS:
            rows.append({"of": "pairs", "under": "store", **compared(store, pairs.a)})
        if proxy is not None:
            rows.append({"of": "store", "under": "proxy", **compared(proxy.a, store)})
    return rows or None


def _others(table: Array) -> Array:
    return table[~np.eye(len(table), dtype=bool)]


def _upper(table: Array) -> list[float]:
    scores = _others(table)
    return [float(value) for value in np.quantile(scores, [1 - share for share in ABOVE])]


def _line(scores: Array, native: Array) -> Row:
    x, y = _others(scores).astype(np.float64), _others(native).astype(np.float64)
    x_mean, y_mean = x.mean(), y.mean()
    x -= x_mean
    y -= y_mean
    xx, xy, yy = float(x @ x), float(x @ y), float(y @ y)
    if xx <= 0 or yy <= 0:
        reason = "all scores are equal"
        return {"slope": None, "intercept": None, "r2": None, "reason": reason}
    slope = xy / xx
    return {
        "slope": slope,
        "intercept": float(y_mean - slope * x_mean),
        "r2": xy**2 / (xx * yy),
        "reason": None,
    }
