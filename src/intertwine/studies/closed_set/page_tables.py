"""The closed-set page's tables: declared ones with all rows, and summaries over pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import count, median, share, signed, text_or_reason
from intertwine.report.shapes import DASH, Column, Table, Text
from intertwine.report.tables import page_table
from intertwine.studies.closed_set.figures import by_size, chance
from intertwine.studies.closed_set.tables import (
    ANALYTIC,
    BASELINE_LINES,
    BASELINES,
    CONTRAST,
    NATIVES,
    PAIRS,
)

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.closed_set.lookup import ClosedSetStudy

FRESH = "fresh-random-features"


def natives_table(study: ClosedSetStudy) -> Table:
    """Return the paper's Table 1: each network by itself."""
    return page_table(NATIVES, study.natives, study.places, name=study.title)


def pairs_table(study: ClosedSetStudy) -> Table:
    """Return every map in numbers."""
    rows = [
        study.pair.get((a, b)) or {"source": a, "target": b, "reason": "not measured"}
        for a in study.names
        for b in study.names
        if a != b
    ]
    return page_table(PAIRS, rows, study.places, name=study.title, why=True)


def baselines_table(study: ClosedSetStudy) -> Table:
    """Return every do-nothing and mean-vector line."""
    rows = study.rows("baselines")
    return page_table(BASELINES, rows, study.places, name=study.title, why=True)


def analytic_table(study: ClosedSetStudy) -> Table:
    """Return the analytic map of every ordered pair."""
    return page_table(ANALYTIC, study.rows("analytic"), study.places, name=study.title)


def contrast_table(study: ClosedSetStudy) -> Table:
    """Return the contrast: targets that the analytic map reaches and a fitted map cannot."""

    def target(row: Row, _: int) -> Text:
        if row["kind"] == FRESH:
            return Text("fresh random features", "drawn anew for every row")
        return study.title(row["target"])

    rows = sorted(study.rows("contrast"), key=lambda row: row["kind"] != FRESH)
    return page_table(CONTRAST, rows, study.places, name=study.title, show={"target": target})


def baselines_summary(study: ClosedSetStudy) -> Table:
    """Return the lines that every map must beat, one row each, beside the fitted maps."""
    columns = [
        Column("Line", numeric=False),
        Column("Pairs scored"),
        Column("Undefined", note="pairs without this line, each with its reason below"),
        Column("Median top-1, %"),
        Column("Median change, %"),
        Column("Best top-1, %"),
        Column("Best pair", numeric=False),
    ]
    kinds = dict.fromkeys([*BASELINE_LINES, *(row["baseline"] for row in study["baselines"])])
    rows = [_line("Fitted map", study, study.counted(study["pairs"]))]
    for kind in kinds:
        chosen = [row for row in study["baselines"] if row["baseline"] == kind]
        if chosen:
            rows.append(_line(BASELINE_LINES.get(kind, kind), study, study.counted(chosen)))
    rows.append(
        [Text("Chance"), *[Text("")] * 2, Text(chance(study).rstrip("%\u202f")), *[Text("")] * 3]
    )
    return Table("Over the pairs that touch no control.", columns, rows)


def _line(name: str, study: ClosedSetStudy, rows: list[Row]) -> list[Text]:
    known = [row for row in rows if row.get("accuracy") is not None]
    changes = [row["percent_change"] for row in known if row.get("percent_change") is not None]
    best = max(known, key=lambda row: float(row["accuracy"]), default=None)
    none = "no pair has a score"
    middle = median([row["accuracy"] for row in known])
    return [
        Text(name),
        Text(count(len(known))),
        Text(count(len(rows) - len(known))),
        text_or_reason(share(middle, study.places), none),
        text_or_reason(signed(median(changes), study.places), none),
        text_or_reason(share(best["accuracy"] if best else None, study.places), none),
        Text(f"{best['source']} → {best['target']}") if best else text_or_reason(DASH, none),
    ]


def learning_curve_table(study: ClosedSetStudy) -> Table:
    """Return the learning curve's medians in numbers."""
    columns = [
        Column("Fit rows"),
        Column("Classes among them"),
        Column("Median change, %"),
        Column("Worst change, %"),
        Column("Best change, %"),
    ]
    covered = {int(row["n_fit"]): row.get("classes_covered") for row in study["curve"]}
    rows = []
    for size, changes in by_size(study).items():
        shown = (median(changes), min(changes, default=None), max(changes, default=None))
        numbers = [text_or_reason(signed(value, study.places), None) for value in shown]
        rows.append([Text(count(size)), text_or_reason(count(covered[size]), None), *numbers])
    return Table("Over the pairs that touch no control.", columns, rows)


def analytic_summary(study: ClosedSetStudy) -> Table:
    """Return whether the analytic map is exact, by target and form: it is the head that decides."""
    columns = [
        Column("Target", numeric=False),
        Column("Form", numeric=False),
        Column("Head’s rank"),
        Column("Classes"),
        Column("Full rank", numeric=False),
        Column("Differing, most", note="predictions unlike the source’s own, worst source"),
        Column("Change, worst, %"),
    ]
    groups: dict[tuple[str, str], list[Row]] = {}
    order = {name: place for place, name in enumerate(study.names)}
    for row in sorted(study["analytic"], key=lambda row: order.get(row["target"], len(order))):
        groups.setdefault((row["target"], row["form"]), []).append(row)
    rows = [
        [study.title(target), Text(form), *_by_target(study, members)]
        for (target, form), members in groups.items()
    ]
    caption = f"By target, over all sources; predictions out of {count(study['n_eval'])}."
    return Table(caption, columns, rows)


def _by_target(study: ClosedSetStudy, members: list[Row]) -> list[Text]:
    first = members[0]
    rank, classes, reason = first.get("rank"), first.get("classes"), first.get("reason")
    full = DASH if rank is None or classes is None else "yes" if rank >= classes else "no"
    differing = [row["differing"] for row in members if row.get("differing") is not None]
    changes = [r["percent_change"] for r in members if r.get("percent_change") is not None]
    shown = [
        count(rank),
        count(classes),
        full,
        count(max(differing, default=None)),
        signed(min(changes, default=None), study.places),
    ]
    return [text_or_reason(text, reason) for text in shown]
