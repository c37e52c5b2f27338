"""The similarity study's page: everything that is shown, as display text in reading order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intertwine.report import draw
from intertwine.report.numbers import count, interval, median, plain, text_or_reason
from intertwine.report.page import Chart, Page, known
from intertwine.report.shapes import DASH, Text, Tile
from intertwine.studies.similarity import page_tables as tables
from intertwine.studies.similarity import sentences
from intertwine.studies.similarity.figures import heatmap, plane_figure, swaps_figure, tree_figure

if TYPE_CHECKING:
    from intertwine.report.shapes import Matrix, Table
    from intertwine.studies.similarity.lookup import SimilarityStudy


@dataclass(frozen=True)
class Heatmap:
    """One measure's part of the page: its name, whether it opens the page, figure and numbers."""

    name: str
    title: str
    headline: bool
    matrix: Matrix
    scores: Table


def summarise_similarity(study: SimilarityStudy) -> Page:
    """Return what the page of a similarity report shows; nothing in it is computed any further."""
    facts = _facts(study)
    heatmaps = [
        Heatmap(
            name=measure["name"],
            title=measure["title"],
            headline=measure is study.headline,
            matrix=heatmap(study, measure),
            scores=tables.scores_table(study, measure),
        )
        for measure in study.measures
    ]
    return Page(
        title=sentences.title(study),
        lede=sentences.lede(study),
        tiles=_tiles(study),
        sizes=sentences.sizes_sentence(study),
        matrix=next(each.matrix for each in heatmaps if each.headline),
        example=sentences.worked_example(study),
        charts={
            "dendrogram": Chart("A tree of the spaces", tree_figure(study), draw.dendrogram),
            "map": Chart("A map of the spaces", plane_figure(study), draw.plane),
            "swaps": Chart(
                "Similarity against change in accuracy",
                swaps_figure(study),
                draw.scatter,
                finding=facts["prediction"],
            ),
        },
        tables={
            "measures": tables.measures_table(study),
            "spaces": tables.spaces_table(study),
            "layers": tables.layers_table(study),
            "interchangeability": tables.interchangeability_table(study),
        },
        facts=facts,
        warnings=study.warnings,
        notes=study.remarks,
        made=_made(study),
        more={"heatmaps": heatmaps},
    )


def _facts(study: SimilarityStudy) -> dict[str, str]:
    return {
        "headline": sentences.in_sentence(study.headline["title"]),
        "confidence": study.confidence,
        "controls": "yes" if study.controls else "",
        "layered": "yes" if study.layered else "",
        "no_tree": study["dendrogram"].get("reason") or "not computed",
        "no_plane": study["mds"].get("reason") or "not computed",
        "share": sentences.share_sentence(study),
        "prediction": sentences.prediction(study) if study["interchangeability"] else "",
        "made": study.stamp,
    }


def _tiles(study: SimilarityStudy) -> list[Tile]:
    order = sentences.ranked(study)
    alone = len(order) == 1
    first = "Calibrated score" if alone else "Most alike"
    second = _raw(study, *order[0][1:]) if alone else _extreme(study, "Least alike", order[-1:])
    last = _predictor(study) if study["interchangeability"] else _typical(study, order)
    return [_extreme(study, first, order[:1]), second, _control(study), last]


def _typical(study: SimilarityStudy, order: list[tuple[float, str, str]]) -> Tile:
    if len(order) == 1:
        null = study.score(*order[0][1:], study.headline).null
        where = "what unrelated spaces of this size give"
        return Tile("Null", text_or_reason(plain(null, 2), "not measured"), where, "")
    middle = median([score for score, _, _ in order])
    none = "no pair without a control has a defined score"
    value = text_or_reason(plain(middle, 2), none)
    return Tile("Median", value, f"over {count(len(order))} pairs", "")


def _raw(study: SimilarityStudy, a: str, b: str) -> Tile:
    score = study.score(a, b, study.headline)
    between = interval(score.low, score.high, 2)
    where = f"{study.confidence} interval {between}" if between else ""
    return Tile("Raw score", text_or_reason(plain(score.raw, 2), score.reason), where, "")


def _extreme(study: SimilarityStudy, title: str, ranked: list[tuple[float, str, str]]) -> Tile:
    if not ranked:
        return Tile(title, text_or_reason(DASH, "no pair has a defined score"), "", "")
    score, a, b = ranked[0]
    return Tile(title, Text(plain(score, 2)), _where(study, a, b), "")


def _where(study: SimilarityStudy, a: str, b: str) -> str:
    score = study.score(a, b, study.headline)
    between = interval(score.calibrated_low, score.calibrated_high, 2)
    pair = f"{a} and {b}"
    return f"{pair}; {study.confidence} interval {between}" if between else pair


def _control(study: SimilarityStudy) -> Tile:
    title, measure = "Most alike to a control", study.headline
    scores = [
        (study.score(a, b, measure).calibrated, a, b)
        for a in study.counted
        for b in sorted(study.controls & set(study.names))
    ]
    defined = [(score, a, b) for score, a, b in scores if score is not None]
    if not defined:
        reason = "no control was given" if not study.controls else "not measured"
        return Tile(title, text_or_reason(DASH, reason), "", "")
    score, a, b = max(defined)
    return Tile(title, Text(plain(score, 2)), _where(study, a, b), "")


def _predictor(study: SimilarityStudy) -> Tile:
    title, ranked = "Highest ρ with swaps", sentences.by_correlation(study)
    if not ranked:
        return Tile(title, text_or_reason(DASH, "no rank correlation is defined"), "", "")
    best = ranked[0]
    names = {measure["name"]: str(measure["title"]) for measure in study.measures}
    between = interval(best.get("ci_low"), best.get("ci_high"), 2)
    where = names.get(best["measure"], str(best["measure"]))
    where += f"; {study.confidence} interval {between}" if between else "; no interval"
    return Tile(title, Text(plain(best["spearman"], 2)), where, "")


def _made(study: SimilarityStudy) -> list[tuple[str, Text]]:
    groups, sample = study["n_groups"], study["sample_rows"]
    encoders = [
        (f"Encoder of {row['space']}", Text(str(row["encoder"]), kind="code"))
        for row in study.spaces
        if row.get("encoder")
    ]
    items = [
        study.command,
        ("Input", Text(", ".join(map(str, study["inputs"] or ())), kind="code")),
        ("Rows", Text(count(study["n"]))),
        ("Row groups", Text("" if groups is None else count(groups))),
        ("Rows in the sample", Text("" if sample is None else count(sample))),
        ("Confidence", Text(study.confidence)),
        ("Precision", Text(str(study["precision"] or ""))),
        ("Swap accuracy from", Text(str(study["closed_set"] or ""), kind="code")),
        ("Controls", Text(", ".join(sorted(study.controls)) or "none")),
        *encoders,
    ]
    return known(items)
