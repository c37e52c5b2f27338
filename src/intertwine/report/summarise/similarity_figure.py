"""The similarity study's main figure: spaces × spaces, one figure a measure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from intertwine.report.summarise.numbers import interval, number_of, plain, significant
from intertwine.report.summarise.shapes import (
    CONTROL,
    DASH,
    NATIVE,
    PAIR,
    Cell,
    Matrix,
    Swatch,
)
from intertwine.report.summarise.similarity_words import direction, unit

if TYPE_CHECKING:
    from intertwine.report.summarise.checked import Row
    from intertwine.report.summarise.similarity_study import Score, SimilarityStudy

STEPS = (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
MANY = 12  # with more spaces a cell holds its calibrated score alone


def heatmap(study: SimilarityStudy, measure: Row) -> Matrix:
    """Return one measure's figure: calibrated score large, raw score and its interval small."""
    compact = len(study.names) > MANY
    return Matrix(
        title=f"{measure['title']}: calibrated scores",
        row_title="space" if measure["symmetric"] else "from",
        column_title="space" if measure["symmetric"] else "to",
        labels=[study.label(name) for name in study.names],
        cells=[
            [_cell(study, a, b, measure, compact=compact) for b in study.names] for a in study.names
        ],
        legend=_legend(study),
        legend_title="Colour: calibrated score, the same scale in every report",
        notes=[_reading(study, measure, compact=compact), *_undefined(study, measure)],
        compact=compact,
    )


def _cell(study: SimilarityStudy, a: str, b: str, measure: Row, *, compact: bool) -> Cell:
    score = study.score(a, b, measure)
    kind = CONTROL if {a, b} & study.controls else NATIVE if a == b else PAIR
    between = interval(score.low, score.high, 2)
    return Cell(
        value=plain(score.calibrated, 2),
        change="" if compact or score.raw is None else f"raw {plain(score.raw, 2)}",
        interval="" if compact or a == b else between,
        shade=score.calibrated if kind == PAIR else None,
        kind=kind,
        detail=tuple(_details(study, a, b, measure, score)),
    )


def _details(study: SimilarityStudy, a: str, b: str, measure: Row, score: Score) -> list[str]:
    between = interval(score.low, score.high, 3)
    calibrated = interval(score.calibrated_low, score.calibrated_high, 3)
    lines = [
        f"{a} {'↔' if measure['symmetric'] else '→'} {b}" if a != b else f"{a} against itself",
        f"{measure['title']} {plain(score.raw, 3)}{unit(measure, score.raw)}"
        + (f", {study.confidence} interval {between}" if between else ""),
        f"null {plain(score.null, 3)}{unit(measure, score.null)}",
        f"calibrated {plain(score.calibrated, 3)}" + (f" ({calibrated})" if calibrated else ""),
    ]
    alpha = study.pair.get((a, b), {}).get("alpha")
    if measure["name"] == "r2" and alpha is not None:
        lines.append(f"λ {significant(alpha)}")
    if score.incomplete and score.reason:
        lines.append(f"{DASH} is undefined: {score.reason}")
    return lines


def _legend(study: SimilarityStudy) -> list[Swatch]:
    swatches = [Swatch("against itself", kind=NATIVE)]
    swatches += [Swatch(plain(step, 1), step) for step in STEPS]
    return [*swatches, Swatch("control", kind=CONTROL)] if study.controls else swatches


def _reading(study: SimilarityStudy, measure: Row, *, compact: bool) -> str:
    small = "" if compact else f" Below it: the raw score with its {study.confidence} interval."
    large = "Number" if compact else "Large"
    best = plain(measure["best"], 0)
    return (
        f"{large}: the calibrated score, (raw − null) / ({best} − null); 0 is what unrelated "
        f"spaces of this size give, 1 a space against itself.{small} {direction(measure)}"
    )


def _undefined(study: SimilarityStudy, measure: Row) -> list[str]:
    """Return why cells show an en dash, each reason once."""
    scores = [study.score(a, b, measure) for a in study.names for b in study.names]
    reasons = [score.reason for score in scores if score.calibrated is None]
    return [
        f"{DASH} undefined in {number_of(n, 'cell')}: {reason.rstrip('.')}."
        for reason, n in Counter(reasons).items()
    ]
