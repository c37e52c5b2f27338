"""The plan's plain tables, as its page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import share
from intertwine.report.shapes import Text
from intertwine.report.tables import page_table
from intertwine.studies.plan.sentences import (
    ENDS,
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
from intertwine.studies.plan.tables import (
    BACKFILL,
    CALIBRATION,
    CANDIDATES,
    COMPARED,
    CURVE,
    DOMAIN,
    GALLERY,
    OPTIONS_TABLE,
    RERANK,
    THRESHOLDS,
    option_text,
)

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.report.shapes import Table
    from intertwine.studies.plan.lookup import PlanStudy

ABSENT = "not among the options of this plan"


def options_table(study: PlanStudy, rows: list[Row]) -> Table:
    """Return every option in numbers, in the order given."""
    above = "" if study.quality == RECALL else ", both above chance"

    def option(row: Row, places: int) -> Text:
        text = option_text(row, places)
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
    others = [RERANK, BACKFILL, THRESHOLDS, CALIBRATION, CANDIDATES, GALLERY]
    if study["domain"]:
        others.append(DOMAIN)
    return {
        "options": options_table(study, options),
        **({} if fits is None else {"fits": fits}),
        "curve": curve_table(study),
        **{
            schema.name: page_table(
                schema, study.rows(schema.name), study.places, confidence=study.confidence
            )
            for schema in others
        },
    }
