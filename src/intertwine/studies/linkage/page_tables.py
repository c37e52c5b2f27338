"""The linkage study's plain tables, as its page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import share, text_or_reason
from intertwine.report.tables import page_table
from intertwine.studies.linkage.tables import LINKABLE, PAIRS

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.report.shapes import Table, Text
    from intertwine.studies.linkage.lookup import LinkageStudy


def linkable_table(study: LinkageStudy) -> Table:
    """Return how many known pairs make each gallery linkable."""
    natives = {row["target"]: study.native(row["target"]) or {} for row in study["linkable"]}
    rows = [
        {**row, "native": natives[row["target"]].get("rank1")} for row in study.rows("linkable")
    ]

    def rank1(row: Row, places: int) -> Text:
        last = study.row.get((row["source"], row["target"], study.most), {})
        return text_or_reason(share(last.get("rank1"), places), last.get("reason"))

    most = study.pairs_text(study.most)
    return page_table(LINKABLE, rows, study.places, show={"rank1": rank1}, most=most)


def pairs_table(study: LinkageStudy) -> Table:
    """Return every condition in numbers."""
    return page_table(PAIRS, study.rows("pairs"), study.places, confidence=study.confidence)
