"""The closed-set study's plain tables: one function a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.report.numbers import (
    count,
    interval,
    median,
    penalty,
    plain,
    share,
    signed,
    text_or_reason,
)
from intertwine.report.shapes import DASH, Column, Table, Text
from intertwine.studies.closed_set.figures import by_size, chance

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.closed_set.lookup import Study

INTERVAL = Column("95 % interval", note="paired bootstrap over the evaluation rows")
SOURCE, TARGET = Column("Source", numeric=False), Column("Target", numeric=False)
TOP1 = Column("Top-1, %", note="share of evaluation rows labelled right")
CHANGE = Column("Change, %", note="against the accuracy of the source’s own network")

BASELINES = {"identity": "Do nothing", "mean": "Mean vector"}


def natives_table(study: Study) -> Table:
    """Return the paper's Table 1: each network by itself."""
    columns = [
        Column("Network", numeric=False),
        Column("Reported top-1, %", note="as its makers published it"),
        Column("Paper’s top-1, %", note="as the paper measured it"),
        Column("Measured top-1, %", note="here, on the evaluation rows"),
        INTERVAL,
        Column("Top-5, %"),
        Column("Crop", note="input size in pixels"),
        Column("Dimension", note="numbers in one feature vector"),
        Column("Parameters"),
    ]
    rows = [[study.title(row["space"]), *_native(study, row)] for row in study.natives]
    return Table("Each network by itself, its own features in its own classifier.", columns, rows)


def _native(study: Study, row: Row) -> list[Text]:
    places, reason = study.places, row.get("reason")
    low, high = (None if row.get(k) is None else 100 * row[k] for k in ("ci_low", "ci_high"))
    return [
        text_or_reason(_published(row.get("reported_top1")), "no published figure was given"),
        text_or_reason(_published(row.get("paper_top1")), "not a network of the paper’s table"),
        text_or_reason(share(row.get("accuracy"), places), reason),
        text_or_reason(interval(low, high, places) or DASH, reason),
        text_or_reason(share(row.get("top5"), places), reason),
        text_or_reason(_crop(row.get("crop")), "not known"),
        text_or_reason(count(row.get("dimension")), "not known"),
        text_or_reason(_parameters(row.get("parameters")), "not known"),
    ]


def _crop(crop: Any) -> str:
    """Return the size of an input; what a record of somebody's own says is shown as it is."""
    sizes = crop if isinstance(crop, list) else [crop]
    return DASH if not sizes or None in sizes else "×".join(map(str, sizes))


def _published(figure: Any) -> str:
    """Return a published accuracy in %; makers and encoders give it as a share of 1 too."""
    if not isinstance(figure, int | float):
        return DASH if figure is None else str(figure)
    return share(figure, 2) if figure is not None and figure <= 1 else plain(figure, 2)


def _parameters(number: Any) -> str:
    if not isinstance(number, int | float):
        return DASH if number is None else str(number)
    return f"{number / 1e6:.1f} M" if number >= 100_000 else count(int(number))


def pairs_table(study: Study) -> Table:
    """Return every map in numbers."""
    columns = [
        SOURCE,
        TARGET,
        TOP1,
        CHANGE,
        INTERVAL,
        Column("Against target, %", note="change against the target network’s own accuracy"),
        Column("Agreement, %", note="rows given the same label as by the target network itself"),
        Column("R²", note="of the mapped features, on the evaluation rows"),
        Column("λ", note="the penalty used; median and range when there is one a target"),
        Column("Top-5, %"),
    ]
    keys = [(a, b) for a in study.names for b in study.names if a != b]
    chosen = [study.pair.get(key, _missing(*key)) for key in keys]
    rows = [_pair(study, row) for row in chosen]
    return _with_reasons(Table("Off the diagonal, one row a map.", columns, rows), chosen)


def _missing(source: str, target: str) -> Row:
    return {"source": source, "target": target, "reason": "not measured"}


def _with_reasons(table: Table, rows: list[Row]) -> Table:
    """Append a column that says why numbers are undefined, where any is."""
    if not any(row.get("reason") for row in rows):
        return table
    column = Column("Why undefined", numeric=False)
    texts = [
        [*shown, Text(r.get("reason") or "")] for shown, r in zip(table.rows, rows, strict=True)
    ]
    return Table(table.caption, [*table.columns, column], texts)


def _pair(study: Study, row: Row) -> list[Text]:
    places, reason = study.places, row.get("reason")
    shown = [
        share(row.get("accuracy"), places),
        signed(row.get("percent_change"), places),
        interval(row.get("ci_low"), row.get("ci_high"), places) or DASH,
        signed(row.get("percent_change_target"), places),
        share(row.get("agreement"), places),
        plain(row.get("r2"), 3),
        penalty(row),
        share(row.get("top5"), places),
    ]
    names = [study.title(row["source"]), study.title(row["target"])]
    return [*names, *(text_or_reason(text, reason) for text in shown)]


def baselines_summary(study: Study) -> Table:
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
    kinds = dict.fromkeys([*BASELINES, *(row["baseline"] for row in study["baselines"])])
    rows = [_line("Fitted map", study, study.counted(study["pairs"]))]
    for kind in kinds:
        chosen = [row for row in study["baselines"] if row["baseline"] == kind]
        if chosen:
            rows.append(_line(BASELINES.get(kind, kind), study, study.counted(chosen)))
    rows.append(
        [Text("Chance"), *[Text("")] * 2, Text(chance(study).rstrip("%\u202f")), *[Text("")] * 3]
    )
    return Table("Over the pairs that touch no control.", columns, rows)


def _line(name: str, study: Study, rows: list[Row]) -> list[Text]:
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


def baselines_table(study: Study) -> Table:
    """Return every do-nothing and mean-vector line."""
    columns = [Column("Line", numeric=False), SOURCE, TARGET, TOP1, CHANGE, INTERVAL]
    columns.append(Column("Agreement, %"))
    rows = []
    for row in study["baselines"]:
        places, reason = study.places, row.get("reason")
        shown = [
            share(row.get("accuracy"), places),
            signed(row.get("percent_change"), places),
            interval(row.get("ci_low"), row.get("ci_high"), places) or DASH,
            share(row.get("agreement"), places),
        ]
        names = [study.title(row["source"]), study.title(row["target"])]
        line = Text(BASELINES.get(row["baseline"], row["baseline"]), note=row.get("form") or "")
        rows.append([line, *names, *(text_or_reason(text, reason) for text in shown)])
    table = Table("Off the diagonal, one row a line and pair.", columns, rows)
    return _with_reasons(table, study["baselines"])


def learning_curve_table(study: Study) -> Table:
    """Return the curve's medians in numbers."""
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
