"""What the plan's tables and figures all ask of a report: options, the ceiling, doing nothing."""

from __future__ import annotations

from functools import cached_property

from intertwine.report.numbers import decimals
from intertwine.report.schema import Report, Row
from intertwine.studies.plan.sentences import (
    ENDS,
    MAPPED,
    MEAN,
    NDCG,
    NOTHING,
    PAIRS,
    PROXY,
    RECALL,
    REEMBED,
)
from intertwine.studies.plan.tables import DOMAIN, TABLES


class PlanStudy(Report):
    """A plan report's own numbers, with the look-ups that every part of it needs."""

    study = "plan"
    needed = (
        "source",
        "target",
        "n_pairs",
        "k",
        "decision",
        "reason",
        "accept",
        "least",
        "pairs_needed",
        *(table.name for table in TABLES if table is not DOMAIN),
    )
    tables = TABLES

    @cached_property
    def places(self) -> int:
        """How many decimals the study's percentages deserve."""
        return decimals(self["n_pairs"])

    @cached_property
    def quality(self) -> str:
        """What decides: nDCG where labels part the truth from chance, else recall."""
        named = self["quality"]
        return named if named in {NDCG, RECALL} else NDCG if self["labels"] else RECALL

    @cached_property
    def fits(self) -> list[str]:
        """What maps were fitted on: `pairs`, `proxy` or both, in order."""
        fits = {row.get("fit") for row in self.rows("pairs") if row["option"] in MAPPED}
        return [fit for fit in (PAIRS, PROXY) if fit in fits]

    def option(self, name: str, fit: str | None = None) -> Row:
        """Return the row of an option, of one fit or of the first; empty when there is none."""
        rows = [row for row in self.rows("pairs") if row["option"] == name]
        return next((row for row in rows if fit is None or row.get("fit") == fit), {})

    def recommended(self, row: Row) -> bool:
        """Return whether a row is the option that the decision names, with the fit that it names."""
        name = option_of(self["decision"])
        named: bool = row.get("option") == name
        return named and (name not in MAPPED or row.get("fit") in {self["fit"], None})

    @cached_property
    def best(self) -> Row:
        """The mapped option that is recommended to those who move, else that of highest quality."""
        rows = [row for row in self.rows("pairs") if row["option"] in MAPPED]
        moving = option_of(self["otherwise"] or self["decision"])
        fits = {self["fit"], None}
        named = [row for row in rows if row["option"] == moving and row.get("fit") in fits]
        rows = named or rows
        key = ENDS[self.quality][0]
        known = [row for row in rows if row.get(key) is not None]
        return max(known, key=lambda row: float(row[key]), default=rows[0] if rows else {})

    def ceiling(self, measure: str) -> float | None:
        """Return what re-embedding everything reaches."""
        value: float | None = self.option(REEMBED).get(ENDS[measure][0])
        return value

    def nothing(self, measure: str = RECALL) -> float | None:
        """Return what is reached without a map."""
        value: float | None = self.option(NOTHING).get(ENDS[measure][0])
        return value

    def accepted(self, measure: str) -> float | None:
        """Return where a measure is good enough; None for the one that does not decide."""
        top, share = self.ceiling(measure), float(self["accept"])
        if self["quality"] is None:
            # A report of before, which held recall itself to the share.
            return share if measure == RECALL else None if top is None else share * top
        if measure != self.quality:
            return None
        chance = self.option(MEAN).get(ENDS[measure][0])
        if measure == RECALL or top is None or chance is None:
            return share
        return float(chance) + share * (top - float(chance))

    @cached_property
    def curve(self) -> str:
        """The measure that the curve shows: what decides, where its rows hold that."""
        known = all(row.get(ENDS[self.quality][0]) is not None for row in self.rows("curve"))
        return self.quality if known else RECALL

    def kept(self, row: Row) -> float | None:
        """Return a row's quality as a share of the ceiling's, of nDCG above chance.

        The ceiling's recall is 1 by definition. Reports of before hold no `quality`: in these it is
        the plain share.
        """
        if row.get("quality") is not None:
            return float(row["quality"])
        value, top = row.get(ENDS[self.quality][0]), self.ceiling(self.quality)
        if self.quality == RECALL:
            top = 1.0
        return None if value is None or not top else float(value) / top


def option_of(decision: object) -> str:
    """Return the option that a decision names."""
    return str(decision).split("-", maxsplit=1)[0]
