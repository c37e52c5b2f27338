"""The open-set study's plain tables: one function a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import (
    THIN,
    count,
    interval,
    median,
    plain,
    share,
    signed,
    significant,
    text_or_reason,
)
from intertwine.report.shapes import DASH, Column, Table, Text
from intertwine.studies.open_set.sentences import with_interval, with_std

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.report.schema import Row
    from intertwine.studies.open_set.lookup import OpenSetStudy

    Texts = Callable[[OpenSetStudy, Row], list[str]]

SOURCE, TARGET = Column("Source", numeric=False), Column("Target", numeric=False)
ACCURACY = Column("Accuracy, %", note="mean over the folds ± standard deviation over them")
THRESHOLD = Column("Threshold", note="mean over the folds, of the distance 1 − cosine")
RATES = [
    Column("EER, %", note="equal error rate: as many impostors accepted as genuine pairs refused"),
    Column("AUC, %", note="area under the ROC curve"),
    Column(f"TAR at FAR 1{THIN}%, %", note="genuine pairs accepted where 1 % of impostors are"),
    Column(f"TAR at FAR 0.1{THIN}%, %", note="genuine pairs accepted where 0.1 % of impostors are"),
]
BOTH = ("_low", "_high")
DECIMALS = {"eer": 2, "auc": 2, "tar_at_far_1e-2": 1, "tar_at_far_1e-3": 1}


def natives_table(study: OpenSetStudy) -> Table:
    """Return each network by itself: the ceiling."""
    columns = [
        Column("Network", numeric=False),
        ACCURACY,
        Column(f"{study.confidence} interval", note="bootstrap over people"),
        *RATES,
        THRESHOLD,
        Column("Dimension", note="numbers in one embedding"),
    ]
    rows = [[Text(row["space"]), *_native(study, row)] for row in study["natives"]]
    caption = "Both images of a pair through one network; rates over all pairs, with intervals."
    return Table(caption, columns, rows)


def _native(study: OpenSetStudy, row: Row) -> list[Text]:
    reason, places = row.get("reason"), study.places
    shown = [
        with_std(row.get("accuracy"), row.get("std"), places),
        between(row, "ci", places) or DASH,
        *rates(row),
        plain(row.get("threshold"), 3),
    ]
    dimension = text_or_reason(count(row.get("dimension")), "not known")
    return [*(text_or_reason(text, reason) for text in shown), dimension]


def between(row: Row, key: str, places: int) -> str:
    """Return the interval of a share in percent, or nothing."""
    low, high = (None if v is None else 100 * v for v in (row.get(f"{key}{e}") for e in BOTH))
    return interval(low, high, places)


def rates(row: Row) -> list[str]:
    """Return a row's error rates with their intervals, in the order of `RATES`."""
    return [with_interval(row, key, places) for key, places in DECIMALS.items()]


def pairs_table(study: OpenSetStudy) -> Table:
    """Return every map in numbers: accuracy, what it costs, what it was made of."""
    columns = [
        SOURCE,
        TARGET,
        ACCURACY,
        Column(f"{study.confidence} interval", note="of the accuracy; bootstrap over people"),
        Column("Change, %", note="against the source’s own accuracy, with its interval"),
        Column("Against target, %", note="change against the target’s own accuracy"),
        Column("Loss, points", note="below the weaker of the two networks by itself"),
        Column("No map, %", note="accuracy of the same comparison without a map"),
        THRESHOLD,
        Column("λ", note="the ridge penalty, where there is one"),
        Column("Fit rows", note="what one map was fitted on"),
    ]
    return _over_pairs(study, "Off the diagonal, one row a map.", columns, _pair)


def _over_pairs(study: OpenSetStudy, caption: str, columns: list[Column], texts: Texts) -> Table:
    """Return a table with one row a map, and why numbers are undefined where any is."""
    chosen = [study.pair.get(couple, _missing(*couple)) for couple in study.couples]
    rows = [
        [
            Text(row["source"]),
            Text(row["target"]),
            *(text_or_reason(text, row.get("reason")) for text in texts(study, row)),
        ]
        for row in chosen
    ]
    if not any(row.get("reason") for row in chosen):
        return Table(caption, columns, rows)
    for shown, row in zip(rows, chosen, strict=True):
        shown.append(Text(str(row.get("reason") or "")))
    return Table(caption, [*columns, Column("Why undefined", numeric=False)], rows)


def _missing(source: str, target: str) -> Row:
    return {"source": source, "target": target, "reason": "not measured"}


def _pair(study: OpenSetStudy, row: Row) -> list[str]:
    places = study.places
    return [
        with_std(row.get("accuracy"), row.get("std"), places),
        between(row, "ci", places) or DASH,
        with_interval(row, "percent_change", places, percent=False),
        signed(row.get("percent_change_target"), places),
        plain(row.get("loss"), places),
        with_interval(_identity(row), "identity", 1),
        plain(row.get("threshold"), 3),
        significant(row.get("alpha")),
        count(row.get("n_fit") if row.get("n_fit") is None else round(row["n_fit"])),
    ]


def _identity(row: Row) -> Row:
    """Return the numbers of no map under names that end as the others' do."""
    names = ("identity_accuracy", "identity_ci_low", "identity_ci_high")
    ends = ("identity", "identity_low", "identity_high")
    return {end: row.get(name) for end, name in zip(ends, names, strict=True)}


def rates_table(study: OpenSetStudy) -> Table:
    """Return every map's error rates, which need no threshold."""
    caption = "Off the diagonal, one row a map; rates over all pairs, with intervals."
    return _over_pairs(study, caption, [SOURCE, TARGET, *RATES], lambda _, row: rates(row))


def folds_table(study: OpenSetStudy) -> Table:
    """Return every accuracy fold by fold."""
    folds = list(dict.fromkeys(row.get("fold") for row in study["folds"]))
    scores = {
        (row["source"], row["target"], row.get("fold")): row.get("accuracy")
        for row in study["folds"]
    }
    chosen = [(a, b) for a in study.names for b in study.names]
    columns = [SOURCE, TARGET, *(Column(f"Fold {_number(fold)}") for fold in folds)]
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


def by_size(study: OpenSetStudy, kind: str) -> dict[int, list[Row]]:
    """Return the rows of one curve by number of fit rows or by rank, smallest first."""
    key = "rank" if kind == "rank" else "n_fit"
    rows = [
        row
        for row in study["curve"]
        if row["kind"] == kind and row["source"] != row["target"] and (row.get(key) or 0) >= 1
    ]
    sizes: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: round(row[key])):
        sizes.setdefault(round(row[key]), []).append(row)
    return sizes
