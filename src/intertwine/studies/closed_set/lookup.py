"""What the closed-set tables and figures all ask of a report: names, controls, rows by pair."""

from __future__ import annotations

from functools import cached_property

from intertwine.report.numbers import decimals
from intertwine.report.schema import Report, Row
from intertwine.report.shapes import Text
from intertwine.studies.closed_set.tables import (
    ANALYTIC,
    BASELINES,
    CONTRAST,
    LEARNING_CURVE,
    NATIVES,
    PAIRS,
)


class ClosedSetStudy(Report):
    """A closed-set report's own numbers, with the look-ups that every part of it needs."""

    study = "closed-set"
    needed = (
        "n_fit",
        "n_eval",
        "chance",
        "method",
        "alpha",
        "median_percent_change",
        "worst_percent_change",
    )
    tables = (NATIVES, PAIRS, ANALYTIC, BASELINES, CONTRAST, LEARNING_CURVE)

    @cached_property
    def controls(self) -> frozenset[str]:
        """The names of the untrained networks."""
        marked = {row["space"] for row in self.result["natives"] if row.get("control")}
        return frozenset(marked | set(self["controls"] or ()))

    @cached_property
    def natives(self) -> list[Row]:
        """One row a network in the order of the report, the controls last."""
        return sorted(self.result["natives"], key=lambda row: row["space"] in self.controls)

    @cached_property
    def native(self) -> dict[str, Row]:
        """The row of a network by its name."""
        return {row["space"]: row for row in self.natives}

    @cached_property
    def names(self) -> list[str]:
        """Every network, the controls last."""
        return [row["space"] for row in self.natives]

    @cached_property
    def networks(self) -> list[str]:
        """Every network that is no control."""
        return [name for name in self.names if name not in self.controls]

    @cached_property
    def places(self) -> int:
        """How many decimals the study's percentages deserve."""
        return decimals(self["n_eval"])

    def touches_control(self, row: Row) -> bool:
        """Return whether a row's source or target is a control."""
        return row["source"] in self.controls or row["target"] in self.controls

    def counted(self, rows: list[Row]) -> list[Row]:
        """Return the rows that medians are taken over: off the diagonal, no control."""
        return [r for r in rows if r["source"] != r["target"] and not self.touches_control(r)]

    def own(self, name: str) -> float | None:
        """Return a network's own accuracy."""
        accuracy: float | None = self.native.get(name, {}).get("accuracy")
        return accuracy

    def title(self, name: str) -> Text:
        """Return a network's name as a table shows it."""
        if name in self.controls:
            return Text(name, "a control: an untrained network", "control")
        return Text(name)
