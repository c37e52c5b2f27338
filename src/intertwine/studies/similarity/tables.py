"""The similarity study's plain tables: one function a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from intertwine.report.numbers import (
    MINUS,
    count,
    interval,
    plain,
    significant,
    text_or_reason,
)
from intertwine.report.shapes import DASH, Column, Table, Text
from intertwine.studies.similarity.sentences import by_correlation, p_value

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.similarity.lookup import SimilarityStudy

SOURCE, TARGET = Column("Source", numeric=False), Column("Target", numeric=False)
WHY = Column("Why undefined", numeric=False)


def measures_table(study: SimilarityStudy) -> Table:
    """Return what each measure is."""
    columns = [
        Column("Measure", numeric=False),
        Column("Formula", numeric=False),
        Column("Range", numeric=False),
        Column("Ignores", numeric=False),
        Column("Interval", numeric=False),
        Column("Null", numeric=False, note="what unrelated spaces of the same size give"),
        Column("Source", numeric=False),
    ]
    rows = [
        [
            Text(str(measure["title"])),
            Text(str(measure["formula"]), kind="formula"),
            Text(_range(measure)),
            *(Text(str(measure[key])) for key in ("ignores", "interval", "null_model", "source")),
        ]
        for measure in study.measures
    ]
    return Table("One row a measure, in the order of the tabs above.", columns, rows)


def _range(measure: Row) -> str:
    low, high = (_end(value, sign) for value, sign in zip(measure["range"], "−+", strict=True))
    more = "larger" if measure["larger_is_more_similar"] else "smaller"
    ways = "" if measure["symmetric"] else "; differs by direction"
    return f"{low} to {high}; {more} is more similar{ways}"


def _end(value: float | None, sign: str) -> str:
    if value is None:
        return "∞" if sign == "+" else f"{MINUS}∞"
    return "π/2" if math.isclose(value, math.pi / 2) else significant(value)


def spaces_table(study: SimilarityStudy) -> Table:
    """Return the spaces by themselves."""
    layers = any(row.get("layer") for row in study.spaces)
    columns = [
        Column("Space", numeric=False),
        *([Column("Network", numeric=False), Column("Layer", numeric=False)] if layers else []),
        Column("Dimension", note="numbers in one feature vector"),
        Column("Rank", note="directions in which the features vary at all"),
        Column(
            "Participation ratio", note="about how many directions hold the variance: (Σλ)² / Σλ²"
        ),
        Column("Kept by SVCCA", note="principal components that SVCCA looks at"),
    ]
    rows = []
    for row in study.spaces:
        place = [Text(str(row.get(key) or "")) for key in ("network", "layer")] if layers else []
        ratio, reason = row.get("participation_ratio"), row.get("reason")
        shown = [
            count(row.get("dimension")),
            count(row.get("rank")),
            plain(ratio, 1),
            count(row.get("kept")),
        ]
        numbers = [text_or_reason(text, reason) for text in shown]
        rows.append([study.title(row["space"]), *place, *numbers])
    return Table("One row a space.", columns, rows)


def scores_table(study: SimilarityStudy, measure: Row) -> Table:
    """Return every number of one measure."""
    penalised = measure["name"] == "r2"
    keys = study.couples(study.names, measure)
    scores = [study.score(a, b, measure) for a, b in keys]
    columns = [
        SOURCE if not measure["symmetric"] else Column("Space", numeric=False),
        TARGET if not measure["symmetric"] else Column("Space", numeric=False),
        Column("Score"),
        Column(f"{study.confidence} interval"),
        Column("Null"),
        Column("Calibrated"),
        Column(f"{study.confidence} interval", note="of the calibrated score"),
        *([Column("λ", note="median over the folds")] if penalised else []),
        *([WHY] if any(score.incomplete for score in scores) else []),
    ]
    rows = []
    for (a, b), score in zip(keys, scores, strict=True):
        shown = [
            plain(score.raw, 4),
            interval(score.low, score.high, 4) or DASH,
            plain(score.null, 4),
            plain(score.calibrated, 4),
            interval(score.calibrated_low, score.calibrated_high, 4) or DASH,
            *([significant(study.pair.get((a, b), {}).get("alpha"))] if penalised else []),
        ]
        numbers = [text_or_reason(text, score.reason) for text in shown]
        why = [Text(score.reason if score.incomplete else "")] if WHY in columns else []
        rows.append([study.title(a), study.title(b), *numbers, *why])
    each = "pair" if measure["symmetric"] else "ordered pair"
    return Table(f"{measure['title']}, one row a {each}.", columns, rows)


def layers_table(study: SimilarityStudy) -> Table:
    """Return the most similar layer of another network, for each layer."""
    name = "cka_debiased"
    title = next((m["title"] for m in study.measures if m["name"] == name), name)
    columns = [
        Column("Network", numeric=False),
        Column("Layer", numeric=False),
        Column("Other network", numeric=False),
        Column("Its most similar layer", numeric=False),
        Column(str(title)),
        Column(f"{study.confidence} interval"),
    ]
    rows = []
    for row in study["layers"]:
        names = ("source_network", "source_layer", "target_network", "best_layer")
        shown = [
            plain(row.get(name), 3),
            interval(row.get(f"{name}_low"), row.get(f"{name}_high"), 3) or DASH,
        ]
        numbers = [text_or_reason(text, row.get("reason")) for text in shown]
        rows.append([*(text_or_reason(row.get(k) or DASH, None) for k in names), *numbers])
    return Table("For each layer, the layer of the other network most like it.", columns, rows)


def interchangeability_table(study: SimilarityStudy) -> Table:
    """Return how well each measure predicts the change in accuracy, the best first."""
    known = by_correlation(study)
    unknown = [row for row in study["interchangeability"] if row.get("spearman") is None]
    titles = {measure["name"]: str(measure["title"]) for measure in study.measures}
    columns = [
        Column("Measure", numeric=False),
        Column("ρ", note="Spearman’s rank correlation; above 0, more similar means less lost"),
        Column(f"{study.confidence} interval"),
        Column("p"),
        Column("Pairs"),
        Column("Networks"),
    ]
    rows = []
    for row in [*known, *unknown]:
        shown = [
            plain(row.get("spearman"), 2),
            interval(row.get("ci_low"), row.get("ci_high"), 2) or DASH,
            p_value(row),
            count(row.get("n_pairs")),
            count(row.get("n_networks")),
        ]
        numbers = [text_or_reason(text, row.get("reason")) for text in shown]
        rows.append([Text(titles.get(row["measure"], row["measure"])), *numbers])
    return Table("The best predictor first; pairs with a control are left out.", columns, rows)
