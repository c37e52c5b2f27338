"""The closed-set study's plain tables: one function a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.report.summarise.figure import by_size, chance
from intertwine.report.summarise.numbers import (
    count,
    interval,
    median,
    penalty,
    plain,
    share,
    signed,
    text_or_reason,
)
from intertwine.report.summarise.shapes import DASH, Column, Table, Text

if TYPE_CHECKING:
    from intertwine.report.summarise.checked import Row
    from intertwine.report.summarise.study import Study

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


def curve_table(study: Study) -> Table:
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
