"""What the open-set tables and figures all ask of a report: names, rows by pair, chance."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from intertwine.report.summarise.checked import Report
from intertwine.report.summarise.numbers import median
from intertwine.report.summarise.open_set_checked import checked_open_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.report.summarise.checked import Row

FINE_PAIRS = 2_000  # from here on one pair is at most a twentieth of a point, as on LFW


class OpenSetStudy(Report):
    """An open-set report's own numbers, with the look-ups that every part of it needs."""

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> OpenSetStudy:
        """Check a report and bring it to what its JSON file holds.

        Raises
        ------
        InputError
            When it is of another study, lacks a part, or a part is not what it should be.
        """
        return cls(checked_open_set(result))

    @cached_property
    def names(self) -> list[str]:
        """Every network in the order given."""
        return [row["space"] for row in self.result["natives"]]

    @cached_property
    def native(self) -> dict[str, Row]:
        """The row of a network by its name."""
        return {row["space"]: row for row in self.result["natives"]}

    @cached_property
    def pair(self) -> dict[tuple[str, str], Row]:
        """The row of a pair, diagonal included."""
        return {(row["source"], row["target"]): row for row in self.result["pairs"]}

    @cached_property
    def couples(self) -> list[tuple[str, str]]:
        """Every ordered pair of two networks, row by row of the table."""
        return [(a, b) for a in self.names for b in self.names if a != b]

    @cached_property
    def mapped(self) -> list[Row]:
        """The rows off the diagonal, one a map, in the order of the table."""
        return [self.pair[couple] for couple in self.couples if couple in self.pair]

    @cached_property
    def places(self) -> int:
        """How many decimals the study's percentages deserve."""
        return 2 if (self["n_pairs"] or 0) >= FINE_PAIRS else 1

    @cached_property
    def chance(self) -> float:
        """The accuracy of one answer to every pair, the more frequent one."""
        matched, mismatched = self["n_matched"] or 0, self["n_mismatched"] or 0
        total = matched + mismatched
        return max(matched, mismatched) / total if total else 0.5

    def known(self, key: str) -> list[float]:
        """Return the defined values of one number over the maps."""
        return [row[key] for row in self.mapped if row.get(key) is not None]

    def middle(self, key: str) -> float | None:
        """Return the median of one number over the maps, or None of nothing."""
        return median(self.known(key))

    def extreme(self, key: str, *, largest: bool) -> Row | None:
        """Return the map with the largest or smallest of one number, or None of nothing."""
        rows = [row for row in self.mapped if row.get(key) is not None]
        sign = 1 if largest else -1
        return max(rows, key=lambda row: sign * float(row[key]), default=None)

    def own(self, name: str, key: str = "accuracy") -> float | None:
        """Return a number of a network by itself."""
        value: float | None = self.native[name].get(key)
        return value

    def weaker(self, source: str, target: str) -> str:
        """Return which of two networks has the lower accuracy by itself."""
        one, other = self.own(source), self.own(target)
        return source if one is not None and other is not None and one < other else target
