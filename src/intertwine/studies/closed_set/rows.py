"""Counts of the closed-set study as the rows and facts of its report."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import by_weight
from intertwine.metrics.intervals import paired_change_interval, proportion_interval
from intertwine.metrics.rank_correlation import network_correlation
from intertwine.studies.closed_set import fresh

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from intertwine.estimators import FitOptions
    from intertwine.studies.closed_set.cross_evaluation import PairScore
    from intertwine.studies.closed_set.data import ClosedSetData
    from intertwine.studies.closed_set.scoring import Counts

Row = dict[str, Any]

_NO_ALPHA = "this method has no λ"
_NATIVE_ZERO = "the source's native accuracy is 0"


def change(counts: Counts) -> Row:
    """Return percent_change with its interval, against the source's own native accuracy."""
    before = counts.both + counts.lost
    if not before:
        return {"percent_change": None, "ci_low": None, "ci_high": None, "reason": _NATIVE_ZERO}
    interval = paired_change_interval(counts.both, counts.gained, counts.lost, counts.n)
    low, high = interval or (None, None)
    percent = 100.0 * (counts.gained - counts.lost) / before
    return {"percent_change": percent, "ci_low": low, "ci_high": high, "reason": None}


def native_rows(natives: Mapping[str, Counts], data: ClosedSetData) -> list[Row]:
    """Return Table 1: each network as it is."""
    rows = []
    for name, counts in natives.items():
        low, high = proportion_interval(counts.correct, counts.n)
        info = data.evaluation.info.get(name) or data.fit.info.get(name) or {}
        rows.append(
            {
                "space": name,
                "control": name in data.controls,
                "accuracy": counts.correct / counts.n,
                "ci_low": low,
                "ci_high": high,
                "top5": counts.correct_top5 / counts.n,
                "reported_top1": info.get("reported_top1"),
                "paper_top1": info.get("paper_top1"),
                "crop": info.get("crop"),
                "dimension": data.evaluation.spaces[name].dim,
                "parameters": info.get("parameters"),
                "encoder": info.get("encoder"),
            }
        )
    return rows


def pair_rows(
    cells: Iterable[PairScore], natives: Mapping[str, Counts], data: ClosedSetData
) -> list[Row]:
    """Return the main table: every ordered pair, and the native networks on its diagonal."""
    by_pair = {(cell.source, cell.target): cell for cell in cells}
    rows = []
    for source in data.names:
        for target in data.names:
            if source == target:
                rows.append(_diagonal(source, natives[source], data))
            else:
                rows.append(_off_diagonal(by_pair[source, target], natives[target], data))
    return rows


def _diagonal(name: str, counts: Counts, data: ClosedSetData) -> Row:
    defined = counts.correct > 0
    return {
        "source": name,
        "target": name,
        "accuracy": counts.correct / counts.n,
        "top5": counts.correct_top5 / counts.n,
        "percent_change": 0.0 if defined else None,
        "ci_low": 0.0 if defined else None,
        "ci_high": 0.0 if defined else None,
        "percent_change_target": 0.0 if defined else None,
        "agreement": 1.0,
        "r2": 1.0,
        "alpha": None,
        "alpha_min": None,
        "alpha_max": None,
        "control": name in data.controls,
        "reason": "the native network: no map" if defined else _NATIVE_ZERO,
    }


def _off_diagonal(cell: PairScore, native_target: Counts, data: ClosedSetData) -> Row:
    counts = cell.counts
    native_correct = native_target.correct
    row = {
        "source": cell.source,
        "target": cell.target,
        "accuracy": counts.correct / counts.n,
        "top5": counts.correct_top5 / counts.n,
        **change(counts),
        "percent_change_target": 100.0 * (counts.correct - native_correct) / native_correct
        if native_correct
        else None,
        "agreement": counts.agreeing / counts.n,
        "r2": cell.r2,
        "alpha": cell.info.get("alpha"),
        "alpha_min": cell.info.get("alpha_min"),
        "alpha_max": cell.info.get("alpha_max"),
        "control": bool({cell.source, cell.target} & set(data.controls)),
    }
    reasons = [row["reason"]] if row["reason"] else []
    if not native_correct:
        reasons.append("the target's native accuracy is 0")
    if cell.r2 is None:
        reasons.append("the target is constant on the rows scored: R² is undefined")
    if row["alpha"] is None:
        reasons.append(_NO_ALPHA)
    row["reason"] = "; ".join(reasons) or None
    return row


def analytic_rows(
    scored: Mapping[tuple[str, str, str], tuple[Counts, int]], data: ClosedSetData
) -> list[Row]:
    """Return the analytic map's table, both forms."""
    return [
        {
            "source": source,
            "target": target,
            "form": form,
            "accuracy": counts.correct / counts.n,
            **change(counts),
            "differing": counts.differing,
            "rank": rank,
            "classes": data.n_classes,
        }
        for (form, source, target), (counts, rank) in scored.items()
    ]


def baseline_rows(scored: Mapping[tuple[str, str, str], Counts], data: ClosedSetData) -> list[Row]:
    """Return the lines that every map must beat."""
    spaces = data.evaluation.spaces
    rows = []
    for (kind, source, target), counts in scored.items():
        row = {
            "baseline": kind,
            "source": source,
            "target": target,
            "accuracy": counts.correct / counts.n,
            **change(counts),
            "agreement": counts.agreeing / counts.n,
        }
        padded = kind == "identity" and spaces[source].dim != spaces[target].dim
        row["form"] = "zero-padded or cut" if padded else "as it is"
        rows.append(row)
    return rows


def contrast_rows(
    cells: Iterable[PairScore],
    analytic: Iterable[Row],
    natives: Mapping[str, Counts],
    data: ClosedSetData,
) -> list[Row]:
    """Return analytic against fitted maps, into targets that know nothing of their input."""
    by_pair = {(row["source"], row["target"]): row for row in analytic if row["form"] == "affine"}
    rows = []
    for cell in cells:
        blind = cell.target == fresh.NAME or cell.target in data.controls
        if not blind or cell.source in data.controls:
            continue
        counts, row = cell.counts, by_pair[cell.source, cell.target]
        low, high = proportion_interval(counts.correct, counts.n)
        rows.append(
            {
                "source": cell.source,
                "target": cell.target,
                "kind": fresh.NAME if cell.target == fresh.NAME else "untrained-control",
                "native_accuracy": natives[cell.source].correct / counts.n,
                "analytic_accuracy": row["accuracy"],
                "analytic_differing": row["differing"],
                "rank": row["rank"],
                "fitted_accuracy": counts.correct / counts.n,
                "ci_low": low,
                "ci_high": high,
                "chance": 1 / data.n_classes,
            }
        )
    return rows


def learning_curve_rows(
    cells: Iterable[PairScore], data: ClosedSetData, size: int, classes_covered: int | None
) -> list[Row]:
    """Return one point of the curve over the number of fit rows, a row a pair."""
    rows = []
    for cell in cells:
        if cell.target == fresh.NAME:
            continue
        row = {
            "n_fit": size,
            "classes_covered": classes_covered,
            "source": cell.source,
            "target": cell.target,
            "accuracy": cell.counts.correct / cell.counts.n,
            **change(cell.counts),
            "alpha": cell.info.get("alpha"),
            "control": bool({cell.source, cell.target} & set(data.controls)),
        }
        if row["alpha"] is None and row["reason"] is None:
            row["reason"] = _NO_ALPHA
        rows.append(row)
    return rows


_NO_PAIRS = "no pair of networks that are no controls has a native accuracy above 0"

# Of heads that the paper's figures can be compared with; the second has a class for background.
IMAGENET_CLASSES = (1000, 1001)
PAPER: Row = {
    "median_percent_change": -1.90,
    "worst_percent_change": -11.6,
    "n_maps": 90,
    "n_fit": 1_281_167,
    "n_eval": 50_000,
    "best_control_accuracy": 0.05,
    "gain": "PNASNet → ResNet-v2-152, 82.46 % against 78.70 %",
    "citation": "McNeely-White, Sattelberg, Blanchard & Beveridge, Exploring the Interchangeability "
    "of CNN Embedding Spaces, arXiv 2010.02323 (2020)",
}


def facts(
    pairs: list[Row],
    cells: list[PairScore],
    data: ClosedSetData,
    options: FitOptions,
    precision: str,
    doubts: list[str],
) -> Row:
    """Return the single values of the report."""
    scored = [
        row
        for row in pairs
        if row["source"] != row["target"]
        and not row["control"]
        and row["percent_change"] is not None
    ]
    changes = [row["percent_change"] for row in scored]
    worst = min(scored, key=lambda row: row["percent_change"], default=None)
    control_cells = [row for row in pairs if row["control"] and row["source"] != row["target"]]
    best_control = max(control_cells, key=lambda row: row["accuracy"], default=None)
    labels = data.fit_labels
    return {
        "version": metadata.version("intertwine"),
        "n_fit": data.fit.n,
        "n_eval": data.evaluation.n,
        "overlap": data.overlap,
        "n_classes": data.n_classes,
        "classes_in_eval": int(np.unique(data.labels).size),
        "classes_in_fit": None if labels is None else int(np.unique(labels).size),
        "chance": 1 / data.n_classes,
        "method": options.method,
        "alpha": str(options.alpha),
        "intercept": options.intercept,
        "prior": options.prior,
        "precision": precision,
        "controls": data.controls,
        "inputs": {
            "fit": data.fit.inputs,
            "eval": data.evaluation.inputs,
        },
        "median_percent_change": float(np.median(changes)) if changes else None,
        "worst_percent_change": min(changes) if changes else None,
        "reason": None if changes else _NO_PAIRS,
        "worst_pair": _names(worst),
        "gains": _gains(pairs, scored),
        "loss_and_source_accuracy": _loss_and_accuracy(pairs, scored),
        "best_control_cell": None
        if best_control is None
        else {**_names(best_control), "accuracy": best_control["accuracy"]},
        "paper": PAPER if data.n_classes in IMAGENET_CLASSES else None,
        **by_weight([*data.notes, *doubts, *_map_notes(cells)]),
    }


def _names(row: Row | None) -> Row:
    return (
        {"source": None, "target": None}
        if row is None
        else {
            "source": row["source"],
            "target": row["target"],
        }
    )


def _gains(pairs: list[Row], scored: list[Row]) -> Row:
    """Count the maps whose accuracy passes the target's own native one."""
    native_accuracy = {
        row["source"]: row["accuracy"] for row in pairs if row["source"] == row["target"]
    }
    gains = [row for row in scored if row["accuracy"] > native_accuracy[row["target"]]]
    best = max(gains, key=lambda row: row["percent_change_target"] or 0.0, default=None)
    return {
        "count": len(gains),
        "n_pairs": len(scored),
        "best": None
        if best is None
        else {
            **_names(best),
            "accuracy": best["accuracy"],
            "native_accuracy_target": native_accuracy[best["target"]],
        },
    }


def _loss_and_accuracy(pairs: list[Row], scored: list[Row]) -> Row:
    """Correlate how much a pair loses with how accurate its source is."""
    sources = {row["source"] for row in scored}
    native_accuracy = {
        row["source"]: row["accuracy"]
        for row in pairs
        if row["source"] == row["target"] and row["source"] in sources
    }
    empty = {"spearman": None, "p_value": None, "n_networks": len(native_accuracy)}
    if len(native_accuracy) < 3:
        return {**empty, "reason": "fewer than three networks"}
    correlation = network_correlation(
        native_accuracy, [(row["source"], -row["percent_change"]) for row in scored]
    )
    if correlation is None:
        return {**empty, "reason": "losses or accuracies are all equal"}
    return {**empty, "spearman": correlation[0], "p_value": correlation[1], "reason": None}


def _map_notes(cells: Iterable[PairScore]) -> list[str]:
    """Return the maps' own notes, once for each source where a note holds for all of its maps."""
    seen: dict[str, None] = {}
    for cell in cells:
        if cell.target == fresh.NAME:
            continue
        for note in cell.info.get("notes", []):
            subject = (
                cell.source if "source's features" in note else f"{cell.source} → {cell.target}"
            )
            seen[f"{subject}: {note}"] = None
    return list(seen)
