"""The plan's plain tables: one function a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import (
    count,
    plain,
    share,
    signed,
    significant,
    text_or_reason,
)
from intertwine.report.shapes import DASH, Column, Table, Text
from intertwine.studies.plan.figures import ordered
from intertwine.studies.plan.lookup import (
    ENDS,
    MAPPED,
    NDCG,
    PAIRS,
    PRECISION,
    PROXY,
    RECALL,
)
from intertwine.studies.plan.sentences import FITS, MEANINGS, MEASURES, OPTIONS, rate

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.plan.lookup import PlanStudy

OPTION = Column("Option", numeric=False)
ABSENT = "not among the options of this plan"


def options_table(study: PlanStudy) -> Table:
    """Return every option in numbers."""
    measures = (RECALL, NDCG, PRECISION) if study["labels"] else (RECALL,)
    above = "" if study.quality == RECALL else ", both above chance"
    kept = f"{MEASURES[study.quality]} over that of re-embedding everything{above}"
    columns = [
        OPTION,
        Column("Maps from", numeric=False, note="the rows that the maps were fitted on"),
        *(
            Column(f"{MEASURES[each]}, %", note=f"with its {study.confidence} interval")
            for each in measures
        ),
        Column("Of ceiling, %", note=kept),
    ]
    rows = [
        [
            _option(row, ", recommended" if study.recommended(row) else ""),
            Text(FITS.get(str(row.get("fit")), "")),
            *(_rate(study, row, each) for each in measures),
            text_or_reason(share(study.kept(row), study.places), row.get("reason")),
        ]
        for row in ordered(study)
    ]
    return Table(f"One row an option; maps from {_names(study)}.", columns, rows)


def _names(study: PlanStudy) -> str:
    return f"{study['source']} to {study['target']} and back"


def _option(row: Row, said: str = "") -> Text:
    name = str(row["option"])
    return Text(OPTIONS.get(name, name) + said, MEANINGS.get(name, ""))


def _rate(study: PlanStudy, row: Row, measure: str = RECALL) -> Text:
    return text_or_reason(rate(row, measure, study.places), row.get("reason"))


def fits_table(study: PlanStudy) -> Table | None:
    """Return both mapped options by what their maps were fitted on; None without a proxy."""
    if PROXY not in study.fits:
        return None
    columns = [
        OPTION,
        Column("From the pairs, %", note="maps fitted on rows of the pairs, in folds"),
        Column("From the proxy, %", note="maps fitted on the proxy’s rows, scored on the pairs"),
        Column("Difference, points", note="proxy minus pairs"),
    ]
    measures = (RECALL, NDCG) if study["labels"] else (RECALL,)
    rows = [_fits(study, name, measure) for name in MAPPED for measure in measures]
    return Table("Both sets of maps, scored on the same pairs.", columns, rows)


def _fits(study: PlanStudy, name: str, measure: str) -> list[Text]:
    both = [study.option(name, fit) for fit in (PAIRS, PROXY)]
    values = [row.get(ENDS[measure][0]) for row in both]
    reason = next((row["reason"] for row in both if row.get("reason")), ABSENT)
    known = [value for value in values if value is not None]
    gap = 100 * (known[1] - known[0]) if len(known) == len(both) else None
    return [
        Text(f"{OPTIONS[name]}: {MEASURES[measure]}", MEANINGS[name]),
        *(text_or_reason(rate(row, measure, study.places), reason) for row in both),
        text_or_reason(signed(gap, study.places), reason),
    ]


def domain_table(study: PlanStudy) -> Table | None:
    """Return whether rows of one set look like rows of another to a map; None when none was asked."""
    if not study["domain"]:
        return None
    columns = [
        Column("Rows of", numeric=False),
        Column("Under maps from", numeric=False),
        Column("Leverage ratio", note="1: as the map’s own unseen rows; well above 1: unlike them"),
        Column("Verdict", numeric=False),
    ]
    rows = [
        [
            Text(str(row["of"])),
            Text(str(row["under"])),
            text_or_reason(plain(row.get("ratio"), 2), row.get("reason")),
            _verdict(row),
        ]
        for row in study.rows("domain")
    ]
    return Table("Mean leverage of one set’s rows over that of a map’s own.", columns, rows)


def _verdict(row: Row) -> Text:
    if row.get("shift") is None:
        return text_or_reason(DASH, row.get("reason"))
    return Text("another domain: the map extrapolates" if row["shift"] else "the same domain")


def curve_table(study: PlanStudy) -> Table:
    """Return what is found by the number of pairs."""
    measures = dict.fromkeys((RECALL, study.curve))
    columns = [OPTION, Column("Pairs"), *(_measured(study, each) for each in measures)]
    rows = [
        [
            _option(row),
            Text(count(row["n_pairs"])),
            *(_rate(study, row, each) for each in measures),
        ]
        for row in study.rows("curve")
    ]
    return Table("Maps fitted on nested subsets of the pairs.", columns, rows)


def gallery_table(study: PlanStudy) -> Table:
    """Return recall by the number of items searched."""
    columns = [OPTION, Column("Items"), _recall(study)]
    rows = [
        [_option(row), Text(count(row["n_items"])), _rate(study, row)]
        for row in study.rows("gallery")
    ]
    return Table("The same queries in smaller galleries.", columns, rows)


def _recall(study: PlanStudy) -> Column:
    return _measured(study, RECALL)


def _measured(study: PlanStudy, measure: str) -> Column:
    return Column(f"{MEASURES[measure]}, %", note=f"{study.confidence} interval where there is one")


def rerank_table(study: PlanStudy) -> Table:
    """Return what re-ranking the first hits reaches."""
    columns = [Column("First hits re-ranked"), _recall(study)]
    rows = [[Text(count(row["depth"])), _rate(study, row)] for row in study.rows("rerank")]
    return Table("The new model’s ten nearest among the first hits.", columns, rows)


def backfill_table(study: PlanStudy) -> Table:
    """Return what re-embedding a share of the items reaches."""
    columns = [Column("Items re-embedded, %"), _recall(study)]
    rows = [[Text(_percent(row["share"])), _rate(study, row)] for row in study.rows("backfill")]
    caption = "Items of the largest leverage re-embedded, the rest converted."
    return Table(caption, columns, rows)


def _percent(value: float) -> str:
    return plain(100 * value, 1).removesuffix(".0")


def thresholds_table(study: PlanStudy) -> Table:
    """Return the scores above which given shares of all pairs lie."""
    columns = [
        Column("Share of pairs above, %", note="of all pairs of a query and an item"),
        Column("Native", note="queries and items of the new model"),
        Column("Converted", note="items converted"),
        Column("Bridged", note="queries mapped back"),
    ]
    rows = [
        [
            Text(significant(100 * row["share"])),
            *(
                text_or_reason(significant(row.get(key), 4), row.get("reason"))
                for key in ("native", "converted", "bridged")
            ),
        ]
        for row in study.rows("thresholds")
    ]
    return Table("The score that lets the same share of pairs through.", columns, rows)


def calibration_table(study: PlanStudy) -> Table:
    """Return how scores after a map are turned into native ones."""
    columns = [
        OPTION,
        Column("Slope"),
        Column("Intercept"),
        Column("R²", note="how much of the native score’s variance the line explains"),
    ]
    rows = [
        [
            _option(row),
            *(
                text_or_reason(significant(row.get(key), 4), row.get("reason"))
                for key in ("slope", "intercept", "r2")
            ),
        ]
        for row in study.rows("calibration")
    ]
    return Table("Native score ≈ slope · score + intercept.", columns, rows)


def candidates_table(study: PlanStudy) -> Table:
    """Return every map that was tried."""
    columns = [
        Column("From", numeric=False),
        Column("To", numeric=False),
        Column("Method", numeric=False),
        Column("λ"),
        Column(f"{MEASURES[RECALL]}, %", note="held out; what the choice is made by"),
        Column("Mean cosine", note="of mapped and true vectors; no part of the choice"),
        Column("Chosen", numeric=False),
    ]
    rows = [
        [
            Text(str(row["source"])),
            Text(str(row["target"])),
            Text(str(row["method"])),
            Text(significant(row["alpha"]) if row.get("alpha") is not None else ""),
            _rate(study, row),
            text_or_reason(plain(row.get("mean_cosine"), 3), row.get("reason")),
            Text("chosen" if row.get("chosen") else ""),
        ]
        for row in study.rows("candidates")
    ]
    return Table("One row a candidate, scored on rows that its map has not seen.", columns, rows)
