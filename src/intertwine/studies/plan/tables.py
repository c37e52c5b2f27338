"""The plan's tables, each declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import plain, significant, text_or_reason
from intertwine.report.schema import REASON, Field, TableSchema
from intertwine.report.shapes import DASH, Text
from intertwine.studies.plan.sentences import (
    ENDS,
    FITS,
    MEANINGS,
    MEASURES,
    NDCG,
    OPTIONS,
    PAIRS,
    PRECISION,
    PROXY,
    RECALL,
)

if TYPE_CHECKING:
    from intertwine.report.schema import Row

WITH, WHERE = "with its {confidence} interval", "{confidence} interval where there is one"


def option_text(row: Row, _: int) -> Text:
    """Return an option by its name, with what it means."""
    name = str(row["option"])
    return Text(OPTIONS.get(name, name), MEANINGS.get(name, ""))


def _alpha(row: Row, _: int) -> Text:
    return Text("" if row.get("alpha") is None else significant(row["alpha"]))


def _verdict(row: Row, _: int) -> Text:
    if row.get("shift") is None:
        return text_or_reason(DASH, row.get("reason"))
    return Text("another domain: the map extrapolates" if row["shift"] else "the same domain")


def _measure(measure: str, note: str, short: str = "") -> Field:
    """Return the field of a measure, a share with its interval."""
    key, low, high = ENDS[measure]
    return Field(key, title=f"{MEASURES[measure]}, %", note=note, interval=(low, high), short=short)


SPACES = (Field("source", "name"), Field("target", "name"))
OPTION = Field("option", "name", "Option", show=option_text, short="Option")
FIT = Field(
    "fit",
    "text",
    "Maps from",
    note="the rows that the maps were fitted on",
    show=lambda row, _: FITS.get(str(row.get("fit")), ""),
    short="Maps of",
)
ROWS = Field("n_pairs", "count")
SCORES = (
    _measure(RECALL, WITH, "Recall@10, %"),
    _measure(NDCG, WITH, "nDCG@10, %"),
    _measure(PRECISION, WITH),
)
QUALITY = (
    Field("quality", "ratio", "Of ceiling, %", note="{kept}"),
    Field("quality_low", "ratio"),
    Field("quality_high", "ratio"),
)
RECALLED = _measure(RECALL, WHERE)

OPTIONS_TABLE = TableSchema(
    "pairs",
    "One row an option; maps from {source} to {target} and back.",
    (*SPACES, OPTION, FIT, ROWS, *SCORES, *QUALITY, REASON),
    nullable=True,
)
BASELINES = TableSchema(
    "baselines",
    "One row an option that needs no map.",
    (*SPACES, OPTION, ROWS, *SCORES, *QUALITY, REASON),
    nullable=True,
)
CURVE = TableSchema(
    "curve",
    "Maps fitted on nested subsets of the pairs.",
    (
        *SPACES,
        OPTION,
        Field("n_pairs", "count", "Pairs"),
        RECALLED,
        _measure(NDCG, WHERE),
        Field("quality", "ratio", interval=True),
    ),
    nullable=True,
)
CANDIDATES = TableSchema(
    "candidates",
    "One row a candidate, scored on rows that its map has not seen.",
    (
        Field("source", "name", "From"),
        Field("target", "name", "To"),
        Field("method", "name", "Method"),
        Field("alpha", "penalty", "λ", show=_alpha),
        Field(
            ENDS[RECALL][0],
            title=f"{MEASURES[RECALL]}, %",
            note="held out; what the choice is made by",
        ),
        Field(
            "mean_cosine",
            "number",
            "Mean cosine",
            note="of mapped and true vectors; no part of the choice",
        ),
        Field("chosen", "flag", "Chosen", show=lambda row, _: "chosen" * bool(row.get("chosen"))),
    ),
    nullable=True,
)
RERANK = TableSchema(
    "rerank",
    "The new model’s ten nearest among the first hits.",
    (*SPACES, Field("depth", "count", "First hits re-ranked"), RECALLED),
    nullable=True,
)
BACKFILL = TableSchema(
    "backfill",
    "Items of the largest leverage re-embedded, the rest converted.",
    (
        *SPACES,
        Field(
            "share",
            title="Items re-embedded, %",
            show=lambda row, _: plain(100 * row["share"], 1).removesuffix(".0"),
        ),
        RECALLED,
    ),
    nullable=True,
)
THRESHOLDS = TableSchema(
    "thresholds",
    "The score that lets the same share of pairs through.",
    (
        *SPACES,
        Field(
            "share",
            title="Share of pairs above, %",
            note="of all pairs of a query and an item",
            show=lambda row, _: significant(100 * row["share"]),
        ),
        Field("native", "score", "Native", note="queries and items of the new model"),
        Field("converted", "score", "Converted", note="items converted"),
        Field("bridged", "score", "Bridged", note="queries mapped back"),
    ),
    nullable=True,
)
CALIBRATION = TableSchema(
    "calibration",
    "Native score ≈ slope · score + intercept.",
    (
        *SPACES,
        OPTION,
        Field("slope", "score", "Slope"),
        Field("intercept", "score", "Intercept"),
        Field(
            "r2",
            "score",
            "R²",
            note="how much of the native score’s variance the line explains",
        ),
        REASON,
    ),
    nullable=True,
)
GALLERY = TableSchema(
    "gallery",
    "The same queries in smaller galleries.",
    (
        *SPACES,
        OPTION,
        Field("n_items", "count", "Items"),
        Field(ENDS[RECALL][0], title=f"{MEASURES[RECALL]}, %", note=WHERE),
    ),
    nullable=True,
)
DOMAIN = TableSchema(
    "domain",
    "Mean leverage of one set’s rows over that of a map’s own.",
    (
        *SPACES,
        Field("of", "name", "Rows of", show=lambda row, _: Text(str(row["of"]))),
        Field("under", "name", "Under maps from", show=lambda row, _: Text(str(row["under"]))),
        Field(
            "ratio",
            "number",
            "Leverage ratio",
            note="1: as the map’s own unseen rows; well above 1: unlike them",
            places=2,
        ),
        Field("shift", "flag", "Verdict", show=_verdict),
    ),
    nullable=True,
)
TABLES = (
    OPTIONS_TABLE,
    BASELINES,
    CURVE,
    CANDIDATES,
    RERANK,
    BACKFILL,
    THRESHOLDS,
    CALIBRATION,
    GALLERY,
    DOMAIN,
)
# Both sets of maps side by side, which only the page shows.
COMPARED = TableSchema(
    "fits",
    "Both sets of maps, scored on the same pairs.",
    (
        OPTION,
        Field(
            PAIRS,
            title="From the pairs, %",
            note="maps fitted on rows of the pairs, in folds",
            interval=True,
        ),
        Field(
            PROXY,
            title="From the proxy, %",
            note="maps fitted on the proxy’s rows, scored on the pairs",
            interval=True,
        ),
        Field("gap", "percent", "Difference, points", note="proxy minus pairs"),
    ),
)
