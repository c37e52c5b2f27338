"""What the similarity study's tables and figures all ask of a report: order, groups, scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from intertwine.report.schema import Report, Row
from intertwine.report.shapes import Label, Text
from intertwine.studies.similarity.tables import (
    INTERCHANGEABILITY,
    LAYERS,
    MEASURES,
    SPACES,
    SPECTRA,
    pairs_schema,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.report.schema import TableSchema

HEADLINE = "cka_debiased"


@dataclass(frozen=True)
class Score:
    """One measure's score of one pair in a report; None where undefined, with the reason.

    The null is what unrelated spaces of the same size score; on the calibrated scale it is 0, and a
    space against itself is 1.
    """

    raw: float | None
    low: float | None
    high: float | None
    null: float | None
    calibrated: float | None
    calibrated_low: float | None
    calibrated_high: float | None
    reason: str

    @property
    def incomplete(self) -> bool:
        """Whether any of the numbers is undefined."""
        numbers = (self.raw, self.low, self.high, self.null)
        return None in (*numbers, self.calibrated, self.calibrated_low, self.calibrated_high)


class SimilarityStudy(Report):
    """A similarity report's own numbers, with the look-ups that every part of it needs."""

    study = "similarity"
    needed = ("n", "confidence", "pairs", "dendrogram", "mds", "swaps")
    tables = (MEASURES, SPACES, SPECTRA, LAYERS, INTERCHANGEABILITY)

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Self:
        """Check a report, its main table by the measures that it lists."""
        study = super().of(result)
        study.pairs_schema.check(study["pairs"], cls.study)
        return study

    @property
    def pairs_schema(self) -> TableSchema:
        """The main table, whose columns are the report's measures."""
        return pairs_schema([measure["name"] for measure in self.measures])

    @property
    def files(self) -> tuple[TableSchema, ...]:
        """The tables that have a CSV file: the main one too."""
        return (self.pairs_schema, *self.tables)

    def flat(self, table: str) -> list[Row]:
        """Return the rows of a table as its CSV file holds them.

        The reasons of the main table in one text, the ends of a measure's range apart, and a row a
        canonical correlation.
        """
        rows = self.rows(table)
        if table == "pairs":
            return [_without(row, "reasons") | {"reason": _reasons(row)} for row in rows]
        if table == MEASURES.name:
            ends = [dict(zip(("low", "high"), row["range"], strict=True)) for row in rows]
            return [_without(row, "range") | each for row, each in zip(rows, ends, strict=True)]
        if table == SPECTRA.name:
            return [
                {"source": row["source"], "target": row["target"], "index": number, "rho": rho}
                for row in rows
                for number, rho in enumerate(row["rho"], 1)
            ]
        return rows

    @cached_property
    def controls(self) -> frozenset[str]:
        """The names of the controls."""
        marked = {row["space"] for row in self.result["spaces"] if row.get("control")}
        return frozenset(marked | set(self["controls"] or ()))

    @cached_property
    def spaces(self) -> list[Row]:
        """One row a space in the order of the report, layers of one network together, controls last."""
        rows = self.result["spaces"]
        first: dict[str, int] = {}
        for i, row in enumerate(rows):
            first.setdefault(_network(row), i)
        return sorted(rows, key=lambda r: (r["space"] in self.controls, first[_network(r)]))

    @cached_property
    def names(self) -> list[str]:
        """Every space in the order of `spaces`."""
        return [row["space"] for row in self.spaces]

    @cached_property
    def counted(self) -> list[str]:
        """Every space that is no control."""
        return [name for name in self.names if name not in self.controls]

    @cached_property
    def networks(self) -> dict[str, list[str]]:
        """The spaces of each network that is no control, in order."""
        groups: dict[str, list[str]] = {}
        for row in self.spaces:
            if row["space"] not in self.controls:
                groups.setdefault(_network(row), []).append(row["space"])
        return groups

    @property
    def layered(self) -> bool:
        """Whether some network has several spaces."""
        return any(len(spaces) > 1 for spaces in self.networks.values())

    @cached_property
    def measures(self) -> list[Row]:
        """The measures in the order in which they are shown."""
        return list(self.result["measures"])

    @cached_property
    def headline(self) -> Row:
        """The measure of the main figure."""
        named = {measure["name"]: measure for measure in self.measures}
        return named.get(HEADLINE) or self.measures[0]

    def score(self, source: str, target: str, measure: Row) -> Score:
        """Return the numbers of an ordered pair by one measure."""
        row, name = self.pair.get((source, target), {}), measure["name"]
        return Score(
            raw=row.get(name),
            low=row.get(f"{name}_low"),
            high=row.get(f"{name}_high"),
            null=row.get(f"{name}_null"),
            calibrated=row.get(f"{name}_calibrated"),
            calibrated_low=row.get(f"{name}_calibrated_low"),
            calibrated_high=row.get(f"{name}_calibrated_high"),
            reason=(row.get("reasons") or {}).get(name) or "not measured",
        )

    def has_null(self, measure: Row) -> bool:
        """Return whether some pair's null is not 0 as shown: raw and calibrated scores differ."""
        nulls = [self.score(*pair, measure).null for pair in self.couples(self.names, measure)]
        return measure["best"] != 1 or any(null is None or round(null, 2) for null in nulls)

    def couples(self, names: list[str], measure: Row) -> list[tuple[str, str]]:
        """Return the pairs off the diagonal: each once, or in both directions where they differ."""
        return [
            (a, b)
            for i, a in enumerate(names)
            for j, b in enumerate(names)
            if (i < j if measure["symmetric"] else i != j)
        ]

    def label(self, name: str) -> Label:
        """Return a space's name as a figure shows it."""
        return Label(name, name in self.controls, self._owner[name] if self.layered else "")

    @cached_property
    def _owner(self) -> dict[str, str]:
        return {row["space"]: _network(row) for row in self.spaces}

    def title(self, name: str) -> Text:
        """Return a space's name as a table shows it."""
        return Text(name, "a control", "control") if name in self.controls else Text(name)


def _reasons(row: Row) -> str | None:
    """Return why numbers of a row are undefined, by measure, or None where all are defined."""
    reasons = row.get("reasons") or {}
    return "; ".join(f"{measure}: {reason}" for measure, reason in reasons.items()) or None


def _without(row: Row, dropped: str) -> Row:
    return {key: value for key, value in row.items() if key != dropped}


def _network(row: Row) -> str:
    return str(row.get("network") or row["space"])
