"""The plan's tables, each declared once, and those of its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import plain, share, significant, text_or_reason
from intertwine.report.schema import REASON, Field, TableSchema
from intertwine.report.shapes import DASH, Text
from intertwine.report.tables import page_table
from intertwine.studies.plan.sentences import (
    ENDS,
    FITS,
    MAPPED,
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
    from intertwine.report.shapes import Table
    from intertwine.studies.plan.lookup import PlanStudy

ABSENT = "not among the options of this plan"
WITH, WHERE = "with its {confidence} interval", "{confidence} interval where there is one"


def _option(row: Row, _: int) -> Text:
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
OPTION = Field("option", "name", "Option", show=_option, short="Option")
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


def options_table(study: PlanStudy, rows: list[Row]) -> Table:
    """Return every option in numbers, in the order given."""
    above = "" if study.quality == RECALL else ", both above chance"

    def option(row: Row, places: int) -> Text:
        text = _option(row, places)
        return Text(text.text + ", recommended", text.note) if study.recommended(row) else text

    return page_table(
        OPTIONS_TABLE,
        rows,
        study.places,
        show={"option": option, "quality": lambda row, places: share(study.kept(row), places)},
        without=() if study["labels"] else (ENDS[NDCG][0], ENDS[PRECISION][0]),
        confidence=study.confidence,
        kept=f"{MEASURES[study.quality]} over that of re-embedding everything{above}",
        source=str(study["source"]),
        target=str(study["target"]),
    )


def compared_table(study: PlanStudy) -> Table | None:
    """Return both mapped options by what their maps were fitted on; None without a proxy."""
    if PROXY not in study.fits:
        return None
    measures = (RECALL, NDCG) if study["labels"] else (RECALL,)
    rows = [_compared(study, name, measure) for name in MAPPED for measure in measures]

    def option(row: Row, _: int) -> Text:
        name = row["option"]
        return Text(f"{OPTIONS[name]}: {MEASURES[row['measure']]}", MEANINGS[name])

    return page_table(COMPARED, rows, study.places, show={"option": option})


def _compared(study: PlanStudy, name: str, measure: str) -> Row:
    """Return one measure of an option with both sets of maps."""
    row: Row = {"option": name, "measure": measure}
    both = [study.option(name, fit) for fit in (PAIRS, PROXY)]
    for fit, found in zip((PAIRS, PROXY), both, strict=True):
        keys = (fit, f"{fit}_low", f"{fit}_high")
        row |= {key: found.get(end) for key, end in zip(keys, ENDS[measure], strict=True)}
    defined = row[PAIRS] is not None and row[PROXY] is not None
    row["gap"] = 100 * (row[PROXY] - row[PAIRS]) if defined else None
    return row | {"reason": next((each["reason"] for each in both if each.get("reason")), ABSENT)}


def curve_table(study: PlanStudy) -> Table:
    """Return what is found by the number of pairs."""
    without = () if study.curve == NDCG else (ENDS[NDCG][0],)
    rows = study.rows("curve")
    return page_table(CURVE, rows, study.places, without=without, confidence=study.confidence)


def page_tables(study: PlanStudy, options: list[Row]) -> dict[str, Table]:
    """Return the tables of the page by name; `options` are the rows of every option, in order."""
    fits = compared_table(study)
    plain_tables = (RERANK, BACKFILL, THRESHOLDS, CALIBRATION, CANDIDATES, GALLERY)
    if study["domain"]:
        plain_tables = (*plain_tables, DOMAIN)
    return {
        **({} if fits is None else {"fits": fits}),
        "options": options_table(study, options),
        "curve": curve_table(study),
        **{
            schema.name: page_table(
                schema, study.rows(schema.name), study.places, confidence=study.confidence
            )
            for schema in plain_tables
        },
    }
