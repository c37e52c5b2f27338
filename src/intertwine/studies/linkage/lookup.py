"""What the linkage tables and figures all ask of a report: systems, rows by pair, native rates."""

from __future__ import annotations

from functools import cached_property

from intertwine.report.numbers import decimals, median, number_of
from intertwine.report.schema import Report, Row
from intertwine.studies.linkage.tables import CMC, LINKABLE, PAIRS


class LinkageStudy(Report):
    """A linkage report's own numbers, with the look-ups that every part of it needs."""

    study = "linkage"
    needed = ("known", "method", "alpha", "intercept", "folds", "replicates", "confidence")
    tables = (PAIRS, CMC, LINKABLE)

    @cached_property
    def names(self) -> list[str]:
        """Every system, those of the gallery first."""
        rows = self.result["pairs"]
        return list(dict.fromkeys([r["target"] for r in rows] + [r["source"] for r in rows]))

    @cached_property
    def couples(self) -> list[tuple[str, str]]:
        """Every pair of two systems, probes first."""
        rows = [row for row in self.result["pairs"] if row["source"] != row["target"]]
        return list(dict.fromkeys((row["source"], row["target"]) for row in rows))

    @cached_property
    def ladder(self) -> list[int]:
        """The numbers of known pairs, ascending."""
        return sorted(self.result["known"])

    @cached_property
    def most(self) -> int:
        """The most known pairs."""
        return self.ladder[-1]

    @cached_property
    def row(self) -> dict[tuple[str, str, int], Row]:
        """The row of a condition without self-training by source, target and known pairs."""
        return {
            (r["source"], r["target"], r["known_pairs"]): r
            for r in self.result["pairs"]
            if r.get("overlap") is None
        }

    @cached_property
    def trained(self) -> dict[tuple[str, str, int], Row]:
        """The row of self-training at the largest overlap by source, target and known pairs."""
        rows = [r for r in self.result["pairs"] if r.get("overlap") is not None]
        most = max((r["overlap"] for r in rows), default=None)
        return {
            (r["source"], r["target"], r["known_pairs"]): r for r in rows if r["overlap"] == most
        }

    def native(self, target: str) -> Row | None:
        """Return the row of a gallery searched with probes of its own system."""
        return self.row.get((target, target, 0))

    def median_native(self, key: str) -> float | None:
        """Return the median of a number over the systems that are on both sides."""
        rows = [row for name in self.names if (row := self.native(name)) is not None]
        return median([row[key] for row in rows if row[key] is not None])

    @cached_property
    def sized(self) -> Row:
        """A row that has the sizes, whichever."""
        rows = self.result["pairs"]
        sized: Row = next((row for row in rows if row["n_probes"]), rows[0])
        return sized

    @cached_property
    def places(self) -> int:
        """How many decimals the study's percentages deserve."""
        return decimals(self.sized["n_probes"])

    def pairs_text(self, known: int) -> str:
        """Return a number of known pairs in words."""
        return "no known pair" if not known else number_of(known, "known pair")
