"""The plan's figures: the options on one axis, and rates over pairs, repair and gallery size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intertwine.report.numbers import plain
from intertwine.report.shapes import Line, RatePanel
from intertwine.studies.plan.sentences import (
    BRIDGE,
    CONVERT,
    ENDS,
    FITS,
    IN_TEXT,
    MAPPED,
    MEASURES,
    NDCG,
    NOTHING,
    OPTIONS,
    PROXY,
    RECALL,
    REEMBED,
    percent,
    percents,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.report.schema import Row
    from intertwine.studies.plan.lookup import PlanStudy

ORDER = (BRIDGE, CONVERT, "stay", NOTHING, "mean")
CEILING, ACCEPT, WITHOUT = "ceiling", "accept", "nothing"


@dataclass(frozen=True)
class Dot:
    """One option on the axis of a measure, in per cent; None and an en dash where it is undefined.

    It is `chosen` where the plan recommends it, and `hollow` where it is no option but a reference.
    """

    name: str
    text: str
    value: float | None
    low: float | None
    high: float | None
    chosen: bool
    hollow: bool


@dataclass(frozen=True)
class OptionPanel:
    """Every option by one measure, from top to bottom, the same options in every panel.

    `references` are upright lines: what each stands for, its kind, and where it is.
    """

    title: str
    dots: list[Dot]
    references: list[tuple[str, str, float]]


def option_panels(study: PlanStudy) -> list[OptionPanel]:
    """Return the options by recall and, with labels, by nDCG."""
    measures = (RECALL, NDCG) if study["labels"] else (RECALL,)
    return [_option_panel(study, measure) for measure in measures]


def _option_panel(study: PlanStudy, measure: str) -> OptionPanel:
    ceiling = study.ceiling(measure)
    lines = [
        ("ceiling: re-embed all", CEILING, ceiling),
        ("do nothing", WITHOUT, study.nothing(measure)),
    ]
    if measure == study.quality and ceiling is not None:
        above = "" if measure == RECALL or study["quality"] is None else ", above chance"
        text = f"accepted: {percent(study['accept'])} of it{above}"
        lines.insert(1, (text, ACCEPT, study.accepted(measure)))
    return OptionPanel(
        title=f"{MEASURES[measure]}, %",
        dots=[_dot(study, row, measure) for row in ordered(study)],
        references=[(text, kind, 100 * value) for text, kind, value in lines if value is not None],
    )


def ordered(study: PlanStudy) -> list[Row]:
    """Return the rows of all options: the ceiling, what can be chosen, then what it is held to."""
    places = {name: i for i, name in enumerate((REEMBED, *ORDER))}
    rows = [*study.rows("pairs"), *study.rows("baselines")]
    return sorted(rows, key=lambda row: places.get(row["option"], len(places)))


def _dot(study: PlanStudy, row: Row, measure: str) -> Dot:
    value, low, high = percents(row, measure)
    return Dot(
        name=_option_name(study, row),
        text=plain(value, study.places),
        value=value,
        low=low,
        high=high,
        chosen=study.recommended(row),
        hollow=row["option"] not in MAPPED,
    )


def _option_name(study: PlanStudy, row: Row) -> str:
    """Return an option's name, with its fit where there are two."""
    name = OPTIONS.get(row["option"], str(row["option"]))
    fit = row.get("fit")
    return f"{name}, {FITS[fit]} maps" if fit in FITS and PROXY in study.fits else name


def curve_panels(study: PlanStudy) -> list[RatePanel]:
    """Return what is found over the number of pairs, one panel an option."""
    return _by_option(study, "curve", "n_pairs", "pairs", study.curve)


def gallery_panels(study: PlanStudy) -> list[RatePanel]:
    """Return recall over the number of items searched, one panel an option."""
    return _by_option(study, "gallery", "n_items", "items in the gallery")


def _by_option(
    study: PlanStudy, table: str, key: str, x_title: str, measure: str = RECALL
) -> list[RatePanel]:
    rows = {
        name: [row for row in study.rows(table) if row.get("option") == name] for name in MAPPED
    }
    panels = [
        _panel(
            study,
            f"{OPTIONS[name]}: {IN_TEXT[measure]}, %",
            x_title,
            [(row[key], row) for row in found],
            measure,
        )
        for name, found in rows.items()
    ]
    return [panel for panel in panels if panel.median.points]


def repair_panels(study: PlanStudy) -> list[RatePanel]:
    """Return recall over the depth of re-ranking and over the share re-embedded."""
    panels = [
        _panel(
            study,
            "Re-rank: recall@10, %",
            "first hits re-ranked",
            [(row["depth"], row) for row in study.rows("rerank")],
        ),
        _panel(
            study,
            "Backfill: recall@10, %",
            "% of items re-embedded",
            [(100 * row["share"], row) for row in study.rows("backfill")],
        ),
    ]
    return [panel for panel in panels if panel.median.points]


def _panel(
    study: PlanStudy,
    title: str,
    x_title: str,
    rows: Sequence[tuple[float, Row]],
    measure: str = RECALL,
) -> RatePanel:
    """Return one line with the ends of its interval, doing nothing below it and what is accepted."""
    ordered_rows = sorted(rows, key=lambda each: each[0])
    across = [float(ordered_rows[0][0]), float(ordered_rows[-1][0])] if ordered_rows else []

    def level(rate: float | None) -> list[tuple[float, float]]:
        return [] if rate is None else [(x, 100 * rate) for x in across]

    value, low, high = (
        [(float(x), 100 * row[key]) for x, row in ordered_rows if row.get(key) is not None]
        for key in ENDS[measure]
    )
    enough = level(study.accepted(measure))
    return RatePanel(
        title=title,
        x_title=x_title,
        lines=[Line(name, ends) for name, ends in (("low", low), ("high", high)) if ends],
        median=Line("forecast", value),
        chance=Line("do nothing", level(study.nothing(measure))),
        native=Line(f"accepted: {percent(study['accept'])}", enough) if enough else None,
    )
