"""The similarity page's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.shapes import Text
from intertwine.report.tables import page_table
from intertwine.studies.similarity.sentences import by_correlation
from intertwine.studies.similarity.tables import (
    INTERCHANGEABILITY,
    LAYERS,
    MEASURES,
    SCORES,
    SPACES,
)

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.report.shapes import Table
    from intertwine.studies.similarity.lookup import SimilarityStudy


def measures_table(study: SimilarityStudy) -> Table:
    """Return what each measure is."""
    return page_table(MEASURES, study.measures, 0)


def spaces_table(study: SimilarityStudy) -> Table:
    """Return the spaces by themselves, with layers where a network has several."""
    layers = any(row.get("layer") for row in study.spaces)
    without = () if layers else ("network", "layer")
    return page_table(SPACES, study.spaces, 0, name=study.title, without=without)


def scores_table(study: SimilarityStudy, measure: Row) -> Table:
    """Return every number of one measure."""
    symmetric = measure["symmetric"]
    return page_table(
        SCORES,
        [_score_row(study, a, b, measure) for a, b in study.couples(study.names, measure)],
        0,
        name=study.title,
        without=() if measure["name"] == "r2" else ("alpha",),
        why=True,
        confidence=study.confidence,
        measure=str(measure["title"]),
        source="Space" if symmetric else "Source",
        target="Space" if symmetric else "Target",
        each="a pair" if symmetric else "an ordered pair",
    )


def _score_row(study: SimilarityStudy, source: str, target: str, measure: Row) -> Row:
    score = study.score(source, target, measure)
    return {
        "source": source,
        "target": target,
        "score": score.raw,
        "score_low": score.low,
        "score_high": score.high,
        "null": score.null,
        "calibrated": score.calibrated,
        "calibrated_low": score.calibrated_low,
        "calibrated_high": score.calibrated_high,
        "alpha": study.pair.get((source, target), {}).get("alpha"),
        "reason": score.reason if score.incomplete else None,
    }


def layers_table(study: SimilarityStudy) -> Table:
    """Return the most similar layer of another network, for each layer."""
    name = "cka_debiased"
    title = next((m["title"] for m in study.measures if m["name"] == name), name)
    rows = study.rows("layers")
    return page_table(LAYERS, rows, 0, measure=str(title), confidence=study.confidence)


def interchangeability_table(study: SimilarityStudy) -> Table:
    """Return how well each measure predicts the change in accuracy, the best first."""
    titles = {measure["name"]: str(measure["title"]) for measure in study.measures}
    unknown = [row for row in study.rows("interchangeability") if row.get("spearman") is None]
    return page_table(
        INTERCHANGEABILITY,
        [*by_correlation(study), *unknown],
        0,
        name=lambda name: Text(titles.get(name, name)),
        confidence=study.confidence,
    )
