"""The plan's page: everything that is shown, as display text in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.draw import rate_panels
from intertwine.report.numbers import (
    count,
    number_of,
    share,
    significant,
    text_or_reason,
    unit,
)
from intertwine.report.page import Chart, Page, known
from intertwine.report.sentences import METHODS
from intertwine.report.shapes import Text, Tile
from intertwine.studies.plan.draw_options import options
from intertwine.studies.plan.figures import (
    curve_panels,
    gallery_panels,
    option_panels,
    ordered,
    repair_panels,
)
from intertwine.studies.plan.page_tables import page_tables
from intertwine.studies.plan.sentences import (
    DECISIONS,
    MEASURES,
    METRICS,
    NDCG,
    NEXT,
    NOTHING,
    OPTIONS,
    PROXY,
    RECALL,
    STAYING,
    percent,
    rate,
)

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.plan.lookup import PlanStudy


def summarise_plan(study: PlanStudy) -> Page:
    """Return what the page of a plan shows; nothing in it is computed any further."""
    decision = str(study["decision"])
    panels = option_panels(study)
    charts = {
        "options": Chart("Every option on one axis", panels if panels[0].dots else [], options),
        "curve": Chart("What is found over the number of pairs", curve_panels(study), rate_panels),
        "repair": Chart(
            "Recall over the depth of re-ranking and the share re-embedded",
            repair_panels(study),
            rate_panels,
        ),
        "gallery": Chart(
            "Recall over the number of items in the gallery", gallery_panels(study), rate_panels
        ),
    }
    return Page(
        title=DECISIONS.get(decision, decision),
        lede=str(study["reason"] or "The study gave no reason."),
        tiles=_tiles(study),
        sizes=_sizes(study),
        charts=charts,
        tables=page_tables(study, ordered(study)),
        facts=_facts(study),
        warnings=study.warnings,
        notes=study.remarks,
        made=_made(study),
        more={"following": NEXT.get(decision, [])},
    )


def _tiles(study: PlanStudy) -> list[Tile]:
    best = study.best
    name = OPTIONS.get(best.get("option", ""), "the best map").lower()
    stay: Row = next((row for row in study.rows("baselines") if row["option"] == "stay"), {})
    reached = f"the fewest that reach {_enough(study)}"
    return [
        _tile(study, f"Forecast: {name}", best),
        _tile(study, "Without a map", study.option(NOTHING)),
        _tile(study, "Today: the old model alone", stay),
        Tile(
            "Pairs needed",
            text_or_reason(count(study["pairs_needed"]), study["pairs_needed_reason"]),
            f"{reached}; there are {count(study['n_pairs'])}",
        ),
    ]


def _tile(study: PlanStudy, title: str, row: Row) -> Tile:
    """Return a row's share of the ceiling, and under it what it is made of."""
    places, measure = study.places, study.quality
    where = f"recall@10 {rate(row, measure, places)}"
    if measure == NDCG:
        top = share(study.ceiling(measure), places)
        above = "" if study["quality"] is None else ", above chance"
        where = f"of re-embedding’s nDCG@10{above}: {rate(row, measure, places)} of {top}"
    if row.get("fit") and PROXY in study.fits:
        where += f"; maps from {row['fit']}"
    text = text_or_reason(unit(share(study.kept(row), places)), row.get("reason"))
    return Tile(title, text, where)


def _sizes(study: PlanStudy) -> str:
    text = (
        f"Measured on {number_of(study['n_pairs'], 'item')} embedded by both {study['source']} and "
        f"{study['target']}"
    )
    if study["n_proxy"] is not None:
        text += f", with {number_of(study['n_proxy'], 'proxy row')}"
    return f"{text}. The forecast holds for a gallery of {number_of(study['n_pairs'], 'item')}."


def _facts(study: PlanStudy) -> dict[str, str]:
    return {
        "source": str(study["source"]),
        "target": str(study["target"]),
        "confidence": study.confidence,
        "k": count(study["k"]),
        "n": count(study["n_pairs"]),
        "accept": percent(study["accept"]),
        "least": percent(study["least"]),
        "quality": MEASURES[study.quality],
        "above": "" if study.quality == RECALL else ", what chance finds taken off both",
        "staying": STAYING[study.quality],
        "needed": _needed(study),
        "made": study.stamp,
    }


def _needed(study: PlanStudy) -> str:
    reason = str(study["pairs_needed_reason"] or "not measured").rstrip(".")
    if study["pairs_needed"] is None:
        return f"Pairs needed: {reason}."
    return f"{count(study['pairs_needed'])} pairs are the fewest tried that reach {_enough(study)}."


def _enough(study: PlanStudy) -> str:
    """Return what is enough, by the measure that decides."""
    share = percent(study["accept"])
    if study.quality == RECALL:
        return f"a recall@10 of {share}"
    return (
        f"{share} of re-embedding’s nDCG@10{'' if study['quality'] is None else ', above chance'}"
    )


def _made(study: PlanStudy) -> list[tuple[str, Text]]:
    inputs = study["inputs"] or {}
    method, metric = str(study["method"]), str(study["metric"])
    unit_length = {True: "yes: rows of the new model are of length 1", False: "no"}
    items = [
        study.command,
        ("Pairs", _code(inputs.get("pairs"))),
        ("Proxy", _code(inputs.get("proxy"))),
        ("Store", _code(inputs.get("store"))),
        ("Old model", Text(_space(study, "source"))),
        ("New model", Text(_space(study, "target"))),
        ("Metric", Text(METRICS.get(metric, metric))),
        ("Map recommended", Text("" if study["method"] is None else METHODS.get(method, method))),
        ("λ", Text("" if study["alpha"] is None else significant(study["alpha"]))),
        ("Fitted on", Text(str(study["fit"] or ""))),
        ("Scaled to length 1", Text(unit_length.get(study["unit"], ""))),
        ("Folds", Text("" if study["folds"] is None else count(study["folds"]))),
        ("Accepted from", Text(percent(study["accept"]))),
        ("Worth repairing from", Text(percent(study["least"]))),
        ("Confidence", Text(study.confidence)),
    ]
    return known(items)


def _code(names: str | list[str] | None) -> Text:
    listed = [names] if isinstance(names, str) else names or []
    return Text(", ".join(map(str, listed)), kind="code")


def _space(study: PlanStudy, side: str) -> str:
    dimension = study[f"d_{side}"]
    size = "" if dimension is None else f", {number_of(dimension, 'dimension')}"
    return f"{study[side]}{size}"
