"""The closed-set study's tables on the analytic map, and the contrast that shows what it is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.summarise.numbers import (
    count,
    interval,
    share,
    signed,
    text_or_reason,
)
from intertwine.report.summarise.shapes import DASH, Column, Table, Text
from intertwine.report.summarise.tables import CHANGE, SOURCE, TARGET, TOP1

if TYPE_CHECKING:
    from intertwine.report.summarise.checked import Row
    from intertwine.report.summarise.study import Study

FORM = Column("Form", numeric=False)
RANK, CLASSES = Column("Head’s rank"), Column("Classes")
FRESH = "fresh-random-features"


def analytic_summary(study: Study) -> Table:
    """Return whether the analytic map is exact, by target and form: it is the head that decides."""
    columns = [
        Column("Target", numeric=False),
        FORM,
        RANK,
        CLASSES,
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


def _by_target(study: Study, members: list[Row]) -> list[Text]:
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


def analytic_table(study: Study) -> Table:
    """Return the analytic map of every ordered pair."""
    columns = [
        SOURCE,
        TARGET,
        FORM,
        TOP1,
        CHANGE,
        Column("Differing", note="predictions unlike the source’s own"),
        RANK,
        CLASSES,
    ]
    rows = []
    for row in study["analytic"]:
        shown = [
            share(row.get("accuracy"), study.places),
            signed(row.get("percent_change"), study.places),
            count(row.get("differing")),
            count(row.get("rank")),
            count(row.get("classes")),
        ]
        names = [study.title(row["source"]), study.title(row["target"]), Text(row["form"])]
        rows.append([*names, *(text_or_reason(text, row.get("reason")) for text in shown)])
    return Table("Off the diagonal, one row a form and pair.", columns, rows)


def contrast_table(study: Study) -> Table:
    """Return the contrast: targets that the analytic map reaches and a fitted map cannot."""
    columns = [
        SOURCE,
        TARGET,
        Column("Source alone, %", note="the source network’s own top-1"),
        Column("Analytic map, %", note="top-1 through the analytic map"),
        Column("Differing", note="predictions unlike the source’s own"),
        Column("Fitted map, %", note="top-1 through the fitted map"),
        Column("95 % interval", note="of the fitted map’s top-1"),
        Column("Chance, %"),
    ]
    rows = []
    for row in sorted(study["contrast"], key=lambda row: row["kind"] != FRESH):
        low, high = (None if row.get(k) is None else 100 * row[k] for k in ("ci_low", "ci_high"))
        level = row.get("chance")
        shown = [
            share(row.get("native_accuracy"), study.places),
            share(row.get("analytic_accuracy"), study.places),
            count(row.get("analytic_differing")),
            share(row.get("fitted_accuracy"), study.places),
            interval(low, high, study.places) or DASH,
            DASH if level is None else f"{100 * level:.3g}",
        ]
        fresh = Text("fresh random features", "drawn anew for every row")
        target = fresh if row["kind"] == FRESH else study.title(row["target"])
        rows.append(
            [
                study.title(row["source"]),
                target,
                *(text_or_reason(text, row.get("reason")) for text in shown),
            ]
        )
    return Table("Both maps into targets that share nothing with the source.", columns, rows)
