"""The open-set study's main figure, laid out as the closed-set study's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from intertwine.report.summarise.figure import change_legend
from intertwine.report.summarise.numbers import (
    THIN,
    interval,
    number_of,
    plain,
    shade,
    share,
    signed,
    significant,
    unit,
)
from intertwine.report.summarise.open_set_tables import between, rates
from intertwine.report.summarise.open_set_words import chance, fitted_on, points, with_std
from intertwine.report.summarise.shapes import DASH, NATIVE, Cell, Label, Matrix

if TYPE_CHECKING:
    from intertwine.report.summarise.checked import Row
    from intertwine.report.summarise.open_set_study import OpenSetStudy


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
