"""The open-set page's tables: declared ones, accuracies by fold, and medians of curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import count, median, plain, share, signed, text_or_reason
from intertwine.report.shapes import DASH, Column, Table, Text
from intertwine.report.tables import page_table
from intertwine.studies.open_set.figures import by_size
from intertwine.studies.open_set.tables import NATIVES, PAIR_RATES, PAIRS, RATES

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.open_set.lookup import OpenSetStudy


def natives_table(study: OpenSetStudy) -> Table:
    """Return each network by itself: the ceiling."""
    rows = study.rows("natives")
    return page_table(NATIVES, rows, study.places, confidence=study.confidence)


def pairs_table(study: OpenSetStudy) -> Table:
    """Return every map in numbers: accuracy, loss, and what it was fitted on."""
    return page_table(
        PAIRS,
        _maps(study),
        study.places,
        without=[each.key for each in RATES],
        why=True,
        confidence=study.confidence,
    )


def rates_table(study: OpenSetStudy) -> Table:
    """Return every map's error rates, which need no threshold."""
    return page_table(PAIR_RATES, _maps(study), study.places, why=True)


def _maps(study: OpenSetStudy) -> list[Row]:
    """Return the row of every ordered pair of two networks, measured or not."""
    return [
        study.pair.get((a, b)) or {"source": a, "target": b, "reason": "not measured"}
        for a, b in study.couples
    ]


def folds_table(study: OpenSetStudy) -> Table:
    """Return every accuracy fold by fold."""
    folds = list(dict.fromkeys(row.get("fold") for row in study["folds"]))
    scores = {
        (row["source"], row["target"], row.get("fold")): row.get("accuracy")
        for row in study["folds"]
    }
    chosen = [(a, b) for a in study.names for b in study.names]
    columns = [
        Column("Source", numeric=False),
        Column("Target", numeric=False),
        *(Column(f"Fold {_number(fold)}") for fold in folds),
    ]
    rows = []
    for a, b in chosen:
        values = [scores.get((a, b, fold)) for fold in folds]
        if any(value is not None for value in values):
            texts = [text_or_reason(share(v, study.places), "not measured") for v in values]
            rows.append([Text(a), Text(b), *texts])
    caption = "Each fold’s accuracy in %, in the official order; where both names agree, no map."
    return Table(caption, columns, rows)


def _number(fold: float | None) -> str:
    return DASH if fold is None else f"{fold:g}"


def curve_table(study: OpenSetStudy, kind: str) -> Table:
    """Return one curve's medians in numbers."""
    columns = [
        Column("Rank" if kind == "rank" else "Fit rows"),
        Column("Median accuracy, %"),
        Column("Median change, %"),
        Column("Worst change, %"),
        Column("Worst loss, points", note="below the weaker of the two networks by itself"),
    ]
    rows = []
    for size, found in by_size(study, kind).items():
        accuracies, changes, losses = (
            [row[key] for row in found if row.get(key) is not None]
            for key in ("accuracy", "percent_change", "loss")
        )
        shown = [
            share(median(accuracies), study.places),
            signed(median(changes), study.places),
            signed(min(changes, default=None), study.places),
            plain(max(losses, default=None), study.places),
        ]
        rows.append([Text(count(size)), *(text_or_reason(text, None) for text in shown)])
    return Table("Over the pairs of two networks.", columns, rows)
