"""What the open-set tables and figures all ask of a report: names, rows by pair, chance."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from intertwine.errors import InputError
from intertwine.report.numbers import median
from intertwine.report.schema import Report, Row, check_number
from intertwine.storage.untrusted import spelled
from intertwine.studies.open_set.tables import CURVES, FOLDS, NATIVES, PAIRS, ROC

if TYPE_CHECKING:
    from collections.abc import Mapping


COUNTS = ("n_pairs", "n_matched", "n_mismatched", "n_folds", "n_people", "n_images", "replicates")
HEADLINES = ("median_percent_change", "worst_percent_change", "worst_loss", "confidence")
CHOICES = ("threshold", "protocol", "space", "intercept", "pairs_file", "version", "created")
LISTS = ("inputs", "fit_inputs", "notes", "warnings")


def _check_top(plain: Row) -> None:
    for key in (*COUNTS, *HEADLINES, "rank"):
        check_number(plain.get(key), key)
    if not isinstance(plain.get("alpha"), str):
        check_number(plain.get("alpha"), "alpha")
    for key in ("fit", "method", *CHOICES):
        value = plain.get(key)
        if not isinstance(value, str) and (value is not None or key not in CHOICES):
            raise InputError(f"{key} of this report: got {spelled(value)}, expected a text")
    for key in LISTS:
        values = plain.get(key) or []
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InputError(
                f"{key} of this report: got {spelled(values)}, expected a list of texts"
            )


def _check_rates(row: Row, where: str) -> None:
    far, tar = row.get("far"), row.get("tar")
    if not isinstance(far, list) or not isinstance(tar, list) or len(far) != len(tar):
        raise InputError(f"{where} of this report: far and tar must be lists of one length")
    for key, values in (("far", far), ("tar", tar)):
        for value in values:
            if value is None:
                raise InputError(f"{where}.{key} of this report holds null, expected shares")
            check_number(value, f"{where}.{key}", (0, 1))


def _check_names(plain: Row) -> None:
    names = [row["space"] for row in plain["natives"]]
    if not names:
        raise InputError("natives of this report is empty; expected one row a network")
    if len(set(names)) != len(names):
        raise InputError("natives of this report names a network twice")
    for table in ("pairs", "folds", "curve", "roc"):
        for row in plain[table]:
            for key in ("source", "target"):
                if row[key] not in names:
                    raise InputError(
                        f"{table} of this report names {row[key]!r}, which natives lacks"
                    )


FINE_PAIRS = 2_000  # from here on one pair is at most a twentieth of a point, as on LFW


class OpenSetStudy(Report):
    """An open-set report's own numbers, with the look-ups that every part of it needs."""

    study = "open-set"
    needed = ("fit", "method", *COUNTS[:3])
    tables = (NATIVES, PAIRS, FOLDS, CURVES, ROC)

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Self:
        """Check a report, its single values and its curves included."""
        study = super().of(result)
        _check_top(study.result)
        for number, row in enumerate(study.rows("roc")):
            _check_rates(row, f"roc[{number}]")
        _check_names(study.result)
        return study

    def flat(self, table: str) -> list[Row]:
        """Return the rows of a table as its CSV file holds them; a row a point of a curve of rates."""
        if table != ROC.name:
            return self.rows(table)
        return [
            {"source": row["source"], "target": row["target"], "far": far, "tar": tar}
            for row in self.rows(table)
            for far, tar in zip(row["far"], row["tar"], strict=True)
        ]

    @cached_property
    def names(self) -> list[str]:
        """Every network in the order of the report."""
        return [row["space"] for row in self.result["natives"]]

    @cached_property
    def native(self) -> dict[str, Row]:
        """The row of a network by its name."""
        return {row["space"]: row for row in self.result["natives"]}

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
