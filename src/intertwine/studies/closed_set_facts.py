"""The single values of a closed-set report: medians, gains, correlations, the paper's own."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.features import fresh
from intertwine.metrics.rank_correlation import network_correlation
from intertwine.notes import by_weight

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intertwine.estimators import FitOptions
    from intertwine.studies.problem import Problem
    from intertwine.studies.swaps import Cell

Row = dict[str, Any]

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
    "gain": "PNASNet's features reach 82.46 in ResNet-v2-152's classifier, whose own are 78.70",
    "citation": "McNeely-White, Sattelberg, Blanchard & Beveridge, Exploring the Interchangeability "
    "of CNN Embedding Spaces, arXiv 2010.02323 (2020)",
}


def facts(
    pairs: list[Row],
    cells: list[Cell],
    problem: Problem,
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
    labels = problem.fit_labels
    return {
        "version": metadata.version("intertwine"),
        "n_fit": problem.fit.n,
        "n_eval": problem.evaluation.n,
        "overlap": problem.overlap,
        "n_classes": problem.n_classes,
        "classes_in_eval": int(np.unique(problem.labels).size),
        "classes_in_fit": None if labels is None else int(np.unique(labels).size),
        "chance": 1 / problem.n_classes,
        "method": options.method,
        "alpha": str(options.alpha),
        "intercept": options.intercept,
        "prior": options.prior,
        "precision": precision,
        "controls": problem.controls,
        "inputs": {
            "fit": [path.name for path in problem.fit.paths],
            "eval": [path.name for path in problem.evaluation.paths],
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
        "paper": PAPER if problem.n_classes in IMAGENET_CLASSES else None,
        **by_weight([*problem.notes, *doubts, *_map_notes(cells)]),
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
    own = {row["source"]: row["accuracy"] for row in pairs if row["source"] == row["target"]}
    gains = [row for row in scored if row["accuracy"] > own[row["target"]]]
    best = max(gains, key=lambda row: row["percent_change_target"] or 0.0, default=None)
    return {
        "count": len(gains),
        "n_pairs": len(scored),
        "best": None
        if best is None
        else {
            **_names(best),
            "accuracy": best["accuracy"],
            "native_accuracy_target": own[best["target"]],
        },
    }


def _loss_and_accuracy(pairs: list[Row], scored: list[Row]) -> Row:
    """Correlate how much a pair loses with how accurate its source is."""
    sources = {row["source"] for row in scored}
    own = {
        row["source"]: row["accuracy"]
        for row in pairs
        if row["source"] == row["target"] and row["source"] in sources
    }
    empty = {"spearman": None, "p_value": None, "n_networks": len(own)}
    if len(own) < 3:
        return {**empty, "reason": "fewer than three networks"}
    found = network_correlation(own, [(row["source"], -row["percent_change"]) for row in scored])
    if found is None:
        return {**empty, "reason": "losses or accuracies are all equal"}
    return {**empty, "spearman": found[0], "p_value": found[1], "reason": None}


def _map_notes(cells: Iterable[Cell]) -> list[str]:
    """Return what maps say of themselves, once for each source where it holds for all."""
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
