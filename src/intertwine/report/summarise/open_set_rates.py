"""The open-set study's ROC and DET figures: each target's own curve, and those mapped into it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from intertwine.report.summarise.numbers import plain, share, unit
from intertwine.report.summarise.rates import (
    CHOSEN,
    MAPPED,
    SOURCE,
    TARGET,
    RateLine,
    RatePanel,
    Rates,
)

if TYPE_CHECKING:
    from intertwine.report.summarise.checked import Row
    from intertwine.report.summarise.open_set_study import OpenSetStudy

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

    Parameters
    ----------
    study
        The report, checked.
    deviate
        Whether it is the DET figure.

    Notes
    -----
    DET after Martin et al., The DET curve in assessment of detection task performance, 1997.
    """
    by_target = len(study.names) <= MANY
    panels = _targets(study) if by_target else _pairs(study)
    drawn = [_drawn(panel, deviate=deviate) for panel in panels if panel.lines]
    if not drawn:
        return None
    legend = BY_TARGET if by_target else BY_PAIR
    kinds = {line.kind for panel in drawn for line in panel.lines}
    smallest = 0.5 / max(study["n_mismatched"] or 1000, 2)  # half of what can be told from 0
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


def _drawn(panel: RatePanel, *, deviate: bool) -> RatePanel:
    """Return a panel with refusals in place of acceptances where the figure is of errors."""
    if not deviate:
        return panel
    lines = [RateLine([(x, 1 - y) for x, y in line.points], line.kind) for line in panel.lines]
    return RatePanel(panel.title, panel.findings, lines)


def _floor(panels: list[RatePanel], smallest: float) -> float:
    """Return the tenth below the lowest TAR that is drawn, so that the top has room."""
    values = [y for p in panels for line in p.lines for x, y in line.points if x >= smallest]
    return min(math.floor(10 * min(values, default=0.0)) / 10, 0.9)


def _curves(study: OpenSetStudy) -> dict[tuple[str, str], list[tuple[float, float]]]:
    return {
        (row["source"], row["target"]): sorted(zip(row["far"], row["tar"], strict=True))
        for row in study["roc"]
        if row["far"]
    }


def _targets(study: OpenSetStudy) -> list[RatePanel]:
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
        panels.append(RatePanel(target, findings, lines))
    return panels


def _eer(study: OpenSetStudy, source: str, target: str) -> float:
    value = study.pair.get((source, target), {}).get("eer")
    return -1.0 if value is None else float(value)


def _pairs(study: OpenSetStudy) -> list[RatePanel]:
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
) -> RatePanel:
    source, target = row["source"], row["target"]
    order = [((source, source), SOURCE), ((target, target), TARGET), ((source, target), CHOSEN)]
    lines = [RateLine(curves[key], kind) for key, kind in order if key in curves]
    own = f"{share(study.own(source, 'eer'), FINE)} and {_percent(study.own(target, 'eer'))}"
    findings = [f"mapped EER {_percent(row['eer'])}", f"own {own}"]
    return RatePanel(f"{name}: {source} → {target}", findings, lines)


def _percent(value: float | None) -> str:
    return unit(plain(None if value is None else 100 * value, FINE))
