"""The closed-set study's main figure and its curve, as shapes ready to be drawn."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from intertwine.report.numbers import (
    THIN,
    count,
    interval,
    median,
    number_of,
    penalty,
    plain,
    shade,
    share,
    signed,
    unit,
)
from intertwine.report.sentences import change_legend
from intertwine.report.shapes import (
    CONTROL,
    DASH,
    NATIVE,
    PAIR,
    Cell,
    Curve,
    Label,
    Line,
    Mark,
    Matrix,
)
from intertwine.studies.closed_set.sentences import is_fitted

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.closed_set.lookup import ClosedSetStudy


def main_figure(study: ClosedSetStudy) -> Matrix:
    """Return the paper's Table 2: accuracy large, percent change small, red deepening with loss."""
    return Matrix(
        title="Accuracy (%) of one network’s features in another’s classifier",
        row_title="features of",
        column_title="classifier of",
        labels=[Label(name, name in study.controls) for name in study.names],
        cells=[[_cell(study, a, b) for b in study.names] for a in study.names],
        legend=change_legend(controls=bool(study.controls)),
        legend_title="Colour: change against the accuracy of the source’s own network",
        notes=_figure_notes(study),
    )


def _cell(study: ClosedSetStudy, source: str, target: str) -> Cell:
    row = study.pair.get((source, target))
    control = bool({source, target} & study.controls)
    if row is None:
        detail = (f"{source} → {target}", "not measured")
        return Cell(DASH, kind=CONTROL if control else PAIR, detail=detail)
    value = share(row.get("accuracy"), study.places)
    if source == target:
        return _native_cell(study, source, value)
    if source in study.controls:
        # Relative to an accuracy that is itself chance, a change means nothing.
        return Cell(value, kind=CONTROL, detail=tuple(_details(study, row)))
    change = row.get("percent_change")
    return Cell(
        value=value,
        change="" if value == DASH else unit(signed(change, study.places)),
        interval=interval(row.get("ci_low"), row.get("ci_high"), study.places),
        shade=None if control else shade(change),
        kind=CONTROL if control else PAIR,
        detail=tuple(_details(study, row)),
    )


def _native_cell(study: ClosedSetStudy, name: str, value: str) -> Cell:
    row = study.native[name]
    places = study.places
    low, high = (None if row.get(k) is None else 100 * row[k] for k in ("ci_low", "ci_high"))
    between = interval(low, high, places)
    measured = unit(share(row.get("accuracy"), places))
    detail = [
        f"{name}: its own features in its own classifier",
        f"accuracy {measured}" + (f", 95{THIN}% interval {between}" if between else ""),
        f"top-5 {unit(share(row.get('top5'), places))}",
    ]
    kind = CONTROL if name in study.controls else NATIVE
    return Cell(value, "native", between, None, kind, tuple(detail))


def _details(study: ClosedSetStudy, row: Row) -> list[str]:
    source, target, places = row["source"], row["target"], study.places
    between = interval(row.get("ci_low"), row.get("ci_high"), places)
    own = {name: unit(share(study.own(name), places)) for name in (source, target)}
    fifth = f"top-5 {unit(share(row.get('top5'), places))}"
    change = unit(signed(row.get("percent_change"), places))
    against = unit(signed(row.get("percent_change_target"), places))
    lines = [
        f"{source} → {target}",
        f"accuracy {unit(share(row.get('accuracy'), places))}, {fifth}",
        f"against {source}’s own {own[source]}: {change}"
        + (f" (95{THIN}% interval {between})" if between else ""),
        f"against {target}’s own {own[target]}: {against}",
        f"same label as {target} itself on {unit(share(row.get('agreement'), places))} of rows",
        f"R² on evaluation rows {plain(row.get('r2'), 3)}, λ {penalty(row)}",
    ]
    reason = row.get("reason")
    return [*lines, f"{DASH} is undefined: {reason}"] if reason else lines


def _figure_notes(study: ClosedSetStudy) -> list[str]:
    fitted = f", fitted on {number_of(study['n_fit'], 'row')} without labels"
    reading = (
        f"Large: top-1 accuracy on {count(study['n_eval'])} evaluation rows. Below it: change "
        f"against the accuracy of the source’s own network, with its 95{THIN}% paired-bootstrap "
        f"interval. Outlined: each network by itself. Maps: {study['method']}"
        f"{fitted if is_fitted(study) else ''}. Chance is {chance(study)}."
    )
    return [reading, *_undefined(study)]


def _undefined(study: ClosedSetStudy) -> list[str]:
    """Return why cells show an en dash, each reason once."""
    reasons = [
        (study.pair.get((source, target)) or {}).get("reason") or "not measured"
        for source in study.names
        for target in study.names
        if None in _shown(study, source, target)
    ]
    return [
        f"{DASH} undefined in {number_of(n, 'cell')}: {reason}."
        for reason, n in Counter(reasons).items()
    ]


def _shown(study: ClosedSetStudy, source: str, target: str) -> list[float | None]:
    """Return the numbers that a cell shows."""
    row = study.pair.get((source, target), {})
    if source == target or source in study.controls:
        return [row.get("accuracy")]
    return [row.get("accuracy"), row.get("percent_change")]


def chance(study: ClosedSetStudy) -> str:
    """Return the accuracy of guessing, as a percentage that is not rounded to nothing."""
    value = study["chance"]
    return DASH if value is None else f"{100 * value:.3g}{THIN}%"


def learning_curve_figure(study: ClosedSetStudy) -> Curve:
    """Return percent change over the number of fit rows, with what to compare it with."""
    off = [r for r in study["curve"] if r["source"] != r["target"]]
    # What a control loses, relative to an accuracy that is itself chance, means nothing.
    rows = [r for r in off if r["source"] not in study.controls]
    keys = list(dict.fromkeys((r["source"], r["target"]) for r in rows))
    lines = [
        Line(
            f"{source} → {target}",
            _points([r for r in rows if (r["source"], r["target"]) == (source, target)]),
            bool({source, target} & study.controls),
        )
        for source, target in keys
    ]
    middle = [
        (float(n), value)
        for n, value in ((n, median(changes)) for n, changes in by_size(study).items())
        if value is not None
    ]
    pairs = len({(r["source"], r["target"]) for r in study.counted(rows)})
    name = f"median of {pairs} pairs" if pairs > 1 else "the pair"
    return Curve(
        x_title="rows that the maps were fitted on (logarithmic)",
        y_title="change against the source’s own accuracy, % (square-root scale)",
        lines=lines,
        median=Line(name, middle),
        marks=_marks(study),
    )


def by_size(study: ClosedSetStudy) -> dict[int, list[float]]:
    """Return the defined changes of the counted pairs by number of fit rows, fewest first."""
    sizes: dict[int, list[float]] = {}
    for row in sorted(study.counted(study["curve"]), key=lambda row: int(row["n_fit"])):
        changes = sizes.setdefault(int(row["n_fit"]), [])
        if row.get("percent_change") is not None:
            changes.append(row["percent_change"])
    return sizes


def _points(rows: list[Row]) -> list[tuple[float, float]]:
    known = [r for r in rows if r.get("percent_change") is not None]
    return sorted((float(r["n_fit"]), float(r["percent_change"])) for r in known)


def _marks(study: ClosedSetStudy) -> list[Mark]:
    marks = [Mark("no loss: the source’s own accuracy", 0.0)]
    owns = [own for own in (study.own(name) for name in study.networks) if own]
    typical = median(owns)
    if typical and study["chance"] is not None:
        level = 100 * (study["chance"] / typical - 1)
        marks.append(Mark("chance", level))
    paper = study["paper"] or {}
    if paper.get("n_fit") and paper.get("median_percent_change") is not None:
        change = plain(paper["median_percent_change"], 2)
        text = f"the paper’s median, {change}\n{number_of(paper['n_fit'], 'row')}"
        marks.append(Mark(text, paper["median_percent_change"], paper["n_fit"]))
    return marks
