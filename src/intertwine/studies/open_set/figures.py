"""The open-set study's main figure, laid out as the closed-set study's."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from intertwine.report.numbers import (
    THIN,
    interval,
    median,
    number_of,
    plain,
    shade,
    share,
    signed,
    significant,
    unit,
)
from intertwine.report.rates import (
    CHOSEN,
    MAPPED,
    SOURCE,
    TARGET,
    RateLine,
    Rates,
    RocPanel,
)
from intertwine.report.sentences import change_legend
from intertwine.report.shapes import DASH, NATIVE, Cell, Curve, Label, Line, Mark, Matrix
from intertwine.studies.open_set.sentences import FITTED, chance, fitted_on, points
from intertwine.studies.open_set.tables import between, rates, with_std

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.open_set.lookup import OpenSetStudy


def main_figure(study: OpenSetStudy) -> Matrix:
    """Return the paper's Table 6: accuracy large, percent change small, red deepening with loss."""
    return Matrix(
        title="Accuracy (%) of one network’s mapped embeddings against another’s",
        row_title="mapped from",
        column_title="compared to",
        labels=[Label(name) for name in study.names],
        cells=[
            [_native(study, a) if a == b else _cell(study, a, b) for b in study.names]
            for a in study.names
        ],
        legend=change_legend(),
        legend_title="Colour: change against the accuracy of the source’s own network",
        notes=[_reading(study), *_undefined(study)],
    )


def _cell(study: OpenSetStudy, source: str, target: str) -> Cell:
    row = study.pair.get((source, target))
    if row is None:
        return Cell(DASH, detail=(f"{source} → {target}", "not measured"))
    change, places = row.get("percent_change"), study.places
    value = share(row.get("accuracy"), places)
    return Cell(
        value=value,
        change="" if value == DASH else unit(signed(change, places)),
        interval=interval(row.get("percent_change_low"), row.get("percent_change_high"), places),
        shade=shade(change),
        detail=tuple(_details(study, row)),
    )


def _native(study: OpenSetStudy, name: str) -> Cell:
    row, places = study.native[name], study.places
    std, spread = row.get("std"), between(row, "ci", places)
    lines = [
        f"{name}: both images through it, no map",
        f"accuracy {with_std(row.get('accuracy'), row.get('std'), places)}"
        + (f", {study.confidence} interval {spread}" if spread else ""),
        *_rates(row),
    ]
    return Cell(
        value=share(row.get("accuracy"), places),
        change="" if std is None else f"± {share(std, places)}",
        interval=spread,
        kind=NATIVE,
        detail=tuple(_explained(lines, row)),
    )


def _details(study: OpenSetStudy, row: Row) -> list[str]:
    source, target, places = row["source"], row["target"], study.places
    own = {name: unit(share(study.own(name), places)) for name in (source, target)}
    change = unit(signed(row.get("percent_change"), places))
    against = unit(signed(row.get("percent_change_target"), places))
    spread = interval(row.get("percent_change_low"), row.get("percent_change_high"), places)
    lost = points(row.get("loss"), places)
    no_map = unit(share(row.get("identity_accuracy"), 1))
    lines = [
        f"{source} → {target}",
        f"accuracy {with_std(row.get('accuracy'), row.get('std'), places)}",
        f"against {source}’s own {own[source]}: {change}"
        + (f" ({study.confidence} interval {spread})" if spread else ""),
        f"against {target}’s own {own[target]}: {against}",
        f"loss against the weaker, {study.weaker(source, target)}: {lost}",
        *_rates(row),
        f"without a map {no_map}",
        f"threshold {plain(row.get('threshold'), 3)}, λ {significant(row.get('alpha'))}",
    ]
    return _explained(lines, row)


def _rates(row: Row) -> list[str]:
    eer, auc, loose, strict = rates(row)
    fars = [f"TAR at FAR {far}{THIN}%: {tar}" for far, tar in ((1, loose), (0.1, strict))]
    return [f"in %: EER {eer}, AUC {auc}", "; ".join(fars)]


def _explained(lines: list[str], row: Row) -> list[str]:
    reason = row.get("reason")
    return [*lines, f"{DASH} is undefined: {reason}"] if reason else lines


def _reading(study: OpenSetStudy) -> str:
    folds = "" if study["n_folds"] is None else f", mean over {number_of(study['n_folds'], 'fold')}"
    return (
        f"Large: share of {number_of(study['n_pairs'], 'pair')} told right as one person or two{folds}. "
        "Below it: change against the accuracy of the source’s own network, with its "
        f"{study.confidence} bootstrap interval over people. Outlined: each network by itself, "
        "± its standard deviation over folds, and the interval of its accuracy. Maps: "
        f"{study['method']}{fitted_on(study)}. Chance is {chance(study)}."
    )


def _undefined(study: OpenSetStudy) -> list[str]:
    """Return why cells show an en dash, each reason once."""
    reasons = []
    for a in study.names:
        for b in study.names:
            row = study.native[a] if a == b else study.pair.get((a, b), {})
            shown = ["accuracy"] if a == b else ["accuracy", "percent_change"]
            if any(row.get(key) is None for key in shown):
                reasons.append(str(row.get("reason") or "not measured").rstrip("."))
    return [
        f"{DASH} undefined in {number_of(n, 'cell')}: {reason}."
        for reason, n in Counter(reasons).items()
    ]


TICKS = (-100.0, -75, -50, -25, -10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 10)
COARSE = (-100.0, -75, -50, -25, -10, -5, -1, 0, 1, 5, 10)
DEEP = -20.0  # from here on chance is near enough to be shown, and small steps are too near
FEW = 12  # sizes that have room to be named under the axis
APART = 1.45  # of two names under the axis, as a ratio


def curve_figure(study: OpenSetStudy, kind: str) -> Curve | None:
    """Return percent change over fit rows (`pairs`) or over rank (`rank`); None without any."""
    sizes = by_size(study, kind)
    rows = [(size, row) for size, found in sizes.items() for row in found]
    lines = [
        Line(f"{source} → {target}", points)
        for source, target in study.couples
        if (points := _points(rows, source, target))
    ]
    if not lines:
        return None
    lowest = min(change for line in lines for _, change in line.points)
    middle = [
        (float(size), value)
        for size, found in sizes.items()
        if (value := median(_changes(found))) is not None
    ]
    return Curve(
        x_title=_x_title(study, kind),
        y_title="change against the source’s own accuracy, % (square-root scale)",
        lines=lines,
        median=Line(f"median of {len(lines)} pairs" if len(lines) > 1 else "the pair", middle),
        marks=_marks(study, lowest),
        x_ticks=_ticks(list(sizes)),
        y_ticks=COARSE if lowest < DEEP else TICKS,
    )


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


def _x_title(study: OpenSetStudy, kind: str) -> str:
    if kind == "rank":
        return "rank of the map (logarithmic)"
    rows = FITTED.get(str(study["fit"]), "rows")
    return f"{rows} that the maps were fitted on (logarithmic)"


def _points(rows: list[tuple[int, Row]], source: str, target: str) -> list[tuple[float, float]]:
    return [
        (float(size), float(row["percent_change"]))
        for size, row in rows
        if (row["source"], row["target"]) == (source, target)
        and row.get("percent_change") is not None
    ]


def _changes(rows: list[Row]) -> list[float]:
    return [row["percent_change"] for row in rows if row.get("percent_change") is not None]


def _marks(study: OpenSetStudy, lowest: float) -> list[Mark]:
    marks = [Mark("no loss: the source’s own accuracy", 0.0)]
    typical = median([own for own in map(study.own, study.names) if own])
    if typical and lowest < DEEP:
        marks.append(Mark("chance", 100 * (study.chance / typical - 1)))
    return marks


def _ticks(sizes: list[int]) -> tuple[int, ...]:
    """Return the sizes that can be named without touching, the largest always; or the decades."""
    named: list[int] = []
    for size in sorted(sizes, reverse=True):
        if not named or named[-1] / size >= APART:
            named.append(size)
    return tuple(reversed(named)) if len(named) <= FEW else ()


MANY = 9  # with more networks, three pairs are shown in place of every target
FINE = 2
BY_TARGET = [
    (TARGET, "the target by itself"),
    (CHOSEN, "mapped into it, the worst"),
    (MAPPED, "mapped into it, the others"),
]
BY_PAIR = [
    (TARGET, "the target by itself"),
    (SOURCE, "the source by itself"),
    (CHOSEN, "the source mapped into the target"),
]


def rates_figure(study: OpenSetStudy, *, deviate: bool) -> Rates | None:
    """Return the ROC or, on normal-deviate axes, the DET curves; None without any.

    DET after Martin et al., The DET curve in assessment of detection task performance, 1997.
    """
    by_target = len(study.names) <= MANY
    panels = _targets(study) if by_target else _pairs(study)
    drawn = [_drawn(panel, deviate=deviate) for panel in panels if panel.lines]
    if not drawn:
        return None
    legend = BY_TARGET if by_target else BY_PAIR
    kinds = {line.kind for panel in drawn for line in panel.lines}
    smallest = 0.5 / max(study["n_mismatched"] or 1000, 2)  # half of the smallest rate above 0
    missed = 0.5 / max(study["n_matched"] or 1000, 2)
    return Rates(
        x_title="impostors accepted (FAR), %" + ("" if deviate else ", logarithmic"),
        y_title="genuine pairs refused (1 − TAR), %" if deviate else "genuine accepted (TAR), %",
        legend=[entry for entry in legend if entry[0] in kinds],
        panels=drawn,
        x_limits=(smallest, 0.5 if deviate else 1.0),
        y_limits=(missed, 0.5) if deviate else (_floor(drawn, smallest), 1.0),
        deviate=deviate,
    )


def _drawn(panel: RocPanel, *, deviate: bool) -> RocPanel:
    """Return a panel with refusals in place of acceptances where the figure is of errors."""
    if not deviate:
        return panel
    lines = [RateLine([(x, 1 - y) for x, y in line.points], line.kind) for line in panel.lines]
    return RocPanel(panel.title, panel.findings, lines)


def _floor(panels: list[RocPanel], smallest: float) -> float:
    """Return the tenth below the lowest TAR that is drawn, so that the top has room."""
    values = [y for p in panels for line in p.lines for x, y in line.points if x >= smallest]
    return min(math.floor(10 * min(values, default=0.0)) / 10, 0.9)


def _curves(study: OpenSetStudy) -> dict[tuple[str, str], list[tuple[float, float]]]:
    return {
        (row["source"], row["target"]): sorted(zip(row["far"], row["tar"], strict=True))
        for row in study["roc"]
        if row["far"]
    }


def _targets(study: OpenSetStudy) -> list[RocPanel]:
    """Return one panel a target: its own curve, every map into it, the worst of them marked."""
    curves, panels = _curves(study), []
    for target in study.names:
        maps = [a for a in study.names if a != target and (a, target) in curves]
        worst = max(maps, key=lambda a: _eer(study, a, target), default=None)
        order = [(a, MAPPED) for a in maps if a != worst]
        order += [(target, TARGET)] if (target, target) in curves else []
        order += [] if worst is None else [(worst, CHOSEN)]
        lines = [RateLine(curves[a, target], kind) for a, kind in order]
        findings = [f"own EER {_percent(study.own(target, 'eer'))}"]
        if worst is not None:
            eer = _percent(study.pair.get((worst, target), {}).get("eer"))
            findings.append(f"worst {eer}, from {worst}")
        panels.append(RocPanel(target, findings, lines))
    return panels


def _eer(study: OpenSetStudy, source: str, target: str) -> float:
    value = study.pair.get((source, target), {}).get("eer")
    return -1.0 if value is None else float(value)


def _pairs(study: OpenSetStudy) -> list[RocPanel]:
    """Return three panels: the worst, the median and the best pair by EER."""
    curves = _curves(study)
    rows = [
        row
        for row in study.mapped
        if row.get("eer") is not None and (row["source"], row["target"]) in curves
    ]
    rows.sort(key=lambda row: -float(row["eer"]))
    places = {0: "Worst", len(rows) // 2: "Median", len(rows) - 1: "Best"}
    return [_pair(study, curves, row, places[i]) for i, row in enumerate(rows) if i in places]


def _pair(
    study: OpenSetStudy,
    curves: dict[tuple[str, str], list[tuple[float, float]]],
    row: Row,
    name: str,
) -> RocPanel:
    source, target = row["source"], row["target"]
    order = [((source, source), SOURCE), ((target, target), TARGET), ((source, target), CHOSEN)]
    lines = [RateLine(curves[key], kind) for key, kind in order if key in curves]
    own = f"{share(study.own(source, 'eer'), FINE)} and {_percent(study.own(target, 'eer'))}"
    findings = [f"mapped EER {_percent(row['eer'])}", f"own {own}"]
    return RocPanel(f"{name}: {source} → {target}", findings, lines)


def _percent(value: float | None) -> str:
    return unit(plain(None if value is None else 100 * value, FINE))
