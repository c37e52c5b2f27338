"""The open-set study's two curves: over the number of fit rows, and over the map's rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.summarise.numbers import median
from intertwine.report.summarise.open_set_tables import by_size
from intertwine.report.summarise.open_set_words import FITTED
from intertwine.report.summarise.shapes import Curve, Line, Mark

if TYPE_CHECKING:
    from intertwine.report.summarise.checked import Row
    from intertwine.report.summarise.open_set_study import OpenSetStudy

TICKS = (-100.0, -75, -50, -25, -10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 10)
COARSE = (-100.0, -75, -50, -25, -10, -5, -1, 0, 1, 5, 10)
DEEP = -20.0  # from here on chance is near enough to be shown, and small steps are too near
FEW = 12  # sizes that have room to be named under the axis
APART = 1.45  # of two names under the axis, as a ratio


def curve_figure(study: OpenSetStudy, kind: str) -> Curve | None:
    """Return percent change over fit rows (`pairs`) or over rank (`rank`); None without any.

    Parameters
    ----------
    study
        The report, checked.
    kind
        Which of the two curves.
    """
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
    kept: list[int] = []
    for size in sorted(sizes, reverse=True):
        if not kept or kept[-1] / size >= APART:
            kept.append(size)
    return tuple(reversed(kept)) if len(kept) <= FEW else ()
