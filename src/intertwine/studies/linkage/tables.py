"""The linkage study's plain tables: one function a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import (
    count,
    interval,
    plain,
    scored,
    share,
    text_or_reason,
)
from intertwine.report.shapes import DASH, Column, Table, Text
from intertwine.studies.linkage.lookup import TPIR

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.linkage.lookup import LinkageStudy

SOURCE = Column("Probes of", numeric=False)
TARGET = Column("Gallery of", numeric=False)


def linkable_table(study: LinkageStudy) -> Table:
    """Return how many known pairs make each gallery linkable."""
    columns = [
        SOURCE,
        TARGET,
        Column(
            "Above chance from", note="fewest known pairs whose interval of rank 1 clears chance"
        ),
        Column("Half of native from", note="fewest known pairs that reach half of native rank 1"),
        Column("Rank 1, %", note=f"with {study.pairs_text(study.most)}"),
        Column("Native rank 1, %", note="probes of the gallery’s own system"),
    ]
    rows = []
    for row in study["linkable"]:
        last = study.row.get((row["source"], row["target"], study.most), {})
        native = study.native(row["target"]) or {}
        rows.append(
            [
                Text(row["source"]),
                Text(row["target"]),
                text_or_reason(_known(row["above_chance_from"]), row["reason"]),
                text_or_reason(_known(row["half_of_native_from"]), row["reason"]),
                text_or_reason(share(last.get("rank1"), study.places), last.get("reason")),
                text_or_reason(share(native.get("rank1"), study.places), row["reason"]),
            ]
        )
    caption = "The fewest known pairs, of those tried, that make a withheld gallery linkable."
    return Table(caption, columns, rows)


def _known(number: int | None) -> str:
    return "no map needed" if number == 0 else count(number)


def pairs_table(study: LinkageStudy) -> Table:
    """Return every condition in numbers."""
    columns = [
        SOURCE,
        TARGET,
        Column("Condition", numeric=False),
        Column("Known pairs"),
        Column("Rank 1, %", note=f"with its {study.confidence} interval over people"),
        Column("Rank 5, %"),
        Column("Rank 10, %"),
        Column("TPIR, %", note="share of enrolled probes answered rightly at an FPIR of 1 %"),
        Column("D_sys", note="0 unlinkable … 1 fully linkable"),
        Column("Chance of rank 1, %", note="one over the people in the gallery"),
        Column("Chance of D_sys", note="with mated and non-mated permuted"),
        Column("People in gallery"),
    ]
    rows = [_pair(study, row) for row in study["pairs"]]
    return Table("One row a pair of systems and condition.", columns, rows)


def _pair(study: LinkageStudy, row: Row) -> list[Text]:
    places, reason = study.places, row["reason"]
    chance = row["chance"]
    numbers = [
        *(_rate(row, f"rank{depth}", places) for depth in (1, 5, 10)),
        _rate(row, TPIR, places),
        scored(plain(row["d_sys"], 3), interval(row["d_sys_low"], row["d_sys_high"], 3)),
        DASH if chance is None else f"{100 * chance:.2g}",
        plain(row["d_sys_chance"], 3),
        count(row["n_gallery"]),
    ]
    known = "" if row["condition"] == "native" else count(row["known_pairs"])
    words = [row["source"], row["target"], row["condition"], known]
    return [*map(Text, words), *(text_or_reason(text, reason) for text in numbers)]


def _rate(row: Row, key: str, places: int) -> str:
    low, high = (
        None if row[f"{key}{end}"] is None else 100 * row[f"{key}{end}"]
        for end in ("_low", "_high")
    )
    return scored(share(row[key], places), interval(low, high, places))
