"""The similarity study's tables, each declared once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from intertwine.report.numbers import MINUS, significant, text_or_reason
from intertwine.report.schema import REASON, Field, TableSchema
from intertwine.report.shapes import DASH, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.report.schema import Row

INTERVAL = "{confidence} interval"


def _range(measure: Row, _: int) -> str:
    low, high = (_end(value, sign) for value, sign in zip(measure["range"], "−+", strict=True))
    more = "larger" if measure["larger_is_more_similar"] else "smaller"
    ways = "" if measure["symmetric"] else "; differs by direction"
    return f"{low} to {high}; {more} is more similar{ways}"


def _end(value: float | None, sign: str) -> str:
    if value is None:
        return "∞" if sign == "+" else f"{MINUS}∞"
    return "π/2" if math.isclose(value, math.pi / 2) else significant(value)


def _layer_field(key: str, title: str, *, after: str = "") -> Field:
    def shown(row: Row, _: int) -> Text:
        return text_or_reason(row.get(key) or DASH, None)

    return Field(key, "text", title, after=after, show=shown)


def p_value(row: Row) -> str:
    """Return a p value in two digits."""
    return significant(row.get("p_value"), 2)


MEASURES = TableSchema(
    "measures",
    "One row a measure, in the order of the tabs above.",
    (
        Field("name", "name"),
        Field("title", "text", "Measure"),
        Field("kind", "text"),
        Field("symmetric", "flag"),
        Field("low", "score"),
        Field("high", "score"),
        Field("best", "score"),
        Field("larger_is_more_similar", "flag"),
        Field("ignores", "text", "Ignores"),
        Field(
            "formula",
            "text",
            "Formula",
            after="title",
            show=lambda row, _: Text(str(row["formula"]), kind="formula"),
        ),
        Field("interval", "text", "Interval"),
        Field("null_model", "text", "Null", note="what unrelated spaces of the same size give"),
        Field("source", "text", "Source"),
        Field("range", "text", "Range", after="formula", derived=True, show=_range),
    ),
)
SPACES = TableSchema(
    "spaces",
    "One row a space.",
    (
        Field("space", "name", "Space"),
        Field("network", "text", "Network"),
        Field("layer", "text", "Layer"),
        Field("control", "flag"),
        Field("dimension", "count", "Dimension", note="numbers in one feature vector"),
        Field("rank", "count", "Rank", note="directions in which the features vary at all"),
        Field(
            "participation_ratio",
            "number",
            "Participation ratio",
            note="about how many directions hold the variance: (Σλ)² / Σλ²",
            places=1,
        ),
        Field("kept", "count", "Kept by SVCCA", note="principal components that SVCCA looks at"),
        Field("encoder", "text"),
    ),
)
SCORES = TableSchema(
    "scores",
    "{measure}, one row {each}.",
    (
        Field("source", "name", "{source}"),
        Field("target", "name", "{target}"),
        Field("score", "number", "Score", interval=True, interval_title=INTERVAL, places=4),
        Field("null", "number", "Null", places=4),
        Field(
            "calibrated",
            "number",
            "Calibrated",
            interval=True,
            interval_title=INTERVAL,
            interval_note="of the calibrated score",
            places=4,
        ),
        Field("alpha", "penalty", "λ", note="median over the folds"),
    ),
)
LAYERS = TableSchema(
    "layers",
    "For each layer, the layer of the other network most like it.",
    (
        _layer_field("source_network", "Network"),
        _layer_field("target_network", "Other network"),
        _layer_field("source_layer", "Layer", after="source_network"),
        _layer_field("best_layer", "Its most similar layer"),
        Field("cka_debiased", "number", "{measure}", interval=True, interval_title=INTERVAL),
    ),
)
INTERCHANGEABILITY = TableSchema(
    "interchangeability",
    "The best predictor first; pairs with a control are left out.",
    (
        Field("measure", "name", "Measure"),
        Field("n_pairs", "count", "Pairs", after="p_value"),
        Field("n_networks", "count", "Networks", after="n_pairs"),
        Field(
            "spearman",
            "number",
            "ρ",
            note="Spearman’s rank correlation; above 0, more similar means less lost",
            interval=("ci_low", "ci_high"),
            interval_title=INTERVAL,
            places=2,
        ),
        Field("p_value", "number", "p", show=lambda row, _: p_value(row)),
        REASON,
    ),
)
SPECTRA = TableSchema(
    "spectra",
    "One row a pair and canonical correlation.",
    (
        Field("source", "name"),
        Field("target", "name"),
        Field("index", "count"),
        Field("rho", "text"),
    ),
)


def pairs_schema(measures: Sequence[str]) -> TableSchema:
    """Return the main table: every ordered pair by every measure of the report."""
    scores = [
        part
        for name in measures
        for part in (
            Field(name, "score", interval=True),
            Field(f"{name}_null", "score"),
            Field(f"{name}_calibrated", "score", interval=True),
        )
    ]
    return TableSchema(
        "pairs",
        "One row an ordered pair of spaces.",
        (
            Field("source", "name"),
            Field("target", "name"),
            *scores,
            Field("alpha", "penalty"),
            Field("control", "flag"),
            REASON,
        ),
    )
