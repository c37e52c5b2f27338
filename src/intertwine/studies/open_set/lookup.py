"""What the open-set tables and figures all ask of a report: names, rows by pair, chance."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.report.numbers import median
from intertwine.report.schema import Report, Row, checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.report.schema import Row

ENDS = ("", "_low", "_high")
AREAS = ("eer", "auc", "tar_at_far_1e-2", "tar_at_far_1e-3")
SCORES = ("accuracy", "std", "ci_low", "ci_high", *(f"{s}{end}" for s in AREAS for end in ENDS))
IDENTITY = ("identity_accuracy", "identity_ci_low", "identity_ci_high")
CHANGE = tuple(f"percent_change{end}" for end in ENDS)
COUNTS = ("n_pairs", "n_matched", "n_mismatched", "n_folds", "n_people", "n_images", "replicates")
HEADLINES = ("median_percent_change", "worst_percent_change", "worst_loss", "confidence")
CHOICES = ("threshold", "protocol", "space", "intercept", "pairs_file", "version", "created")
LISTS = ("inputs", "fit_inputs", "notes", "warnings")
NEEDED = ("study", "natives", "pairs", "folds", "curve", "roc", "fit", "method", *COUNTS[:3])
# name of a table: its texts, its shares of 1, its other numbers
TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "natives": (("space",), SCORES, ("threshold", "dimension")),
    "pairs": (
        ("source", "target"),
        (*SCORES, *IDENTITY),
        ("threshold", *CHANGE, "percent_change_target", "loss", "alpha", "n_fit"),
    ),
    "folds": (("source", "target"), ("accuracy",), ("fold", "threshold")),
    "curve": (
        ("kind", "source", "target"),
        ("accuracy", "std"),
        ("n_fit", "rank", "percent_change", "loss"),
    ),
    "roc": (("source", "target"), (), ()),
}


def checked_open_set(result: Mapping[str, Any]) -> Row:
    """Check an open-set report and return a copy made of JSON's own types.

    Every table is a list of objects, every number null or finite, every share within 0 … 1;
    anything else raises InputError.
    """
    if not isinstance(result, dict):
        raise InputError(f"got a report that is a {type(result).__name__}, expected a JSON object")
    plain = checked(result, study="open-set", needed=NEEDED)
    _check_top(plain)
    for name, (texts, shares, numbers) in TABLES.items():
        for i, row in enumerate(_rows(plain[name], name)):
            _check_row(row, f"{name}[{i}]", texts, shares, numbers)
    for i, row in enumerate(plain["roc"]):
        _check_rates(row, f"roc[{i}]")
    _check_names(plain)
    return plain


def _check_top(plain: Row) -> None:
    for key in (*COUNTS, *HEADLINES, "rank"):
        _number(plain.get(key), key)
    if not isinstance(plain.get("alpha"), str):
        _number(plain.get("alpha"), "alpha")
    for key in ("fit", "method", *CHOICES):
        value = plain.get(key)
        if not isinstance(value, str) and (value is not None or key not in CHOICES):
            raise InputError(f"{key} of this report: got {value!r}, expected a text")
    for key in LISTS:
        values = plain.get(key) or []
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InputError(f"{key} of this report: got {values!r}, expected a list of texts")


def _rows(value: Any, name: str) -> list[Row]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InputError(f"{name} of this report is no list of objects; is it an open-set report?")
    return value


def _check_row(
    row: Row,
    where: str,
    texts: tuple[str, ...],
    shares: tuple[str, ...],
    numbers: tuple[str, ...],
) -> None:
    for key in texts:
        if not isinstance(row.get(key), str) or not row[key]:
            raise InputError(f"{where} of this report: got {key}={row.get(key)!r}, expected a name")
    for key in (*shares, *numbers):
        _number(row.get(key), f"{where}.{key}", share=key in shares)


def _number(value: Any, where: str, *, share: bool = False) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where} of this report: got {value!r}, expected a number or null")
    if share and not 0 <= value <= 1:
        raise InputError(f"{where} of this report: got {value!r}, expected a share from 0 to 1")
    if abs(value) > 1e100:  # beyond this an interval in percent could leave the floats
        raise InputError(f"{where} of this report: got {value!r}, which no study gives")


def _check_rates(row: Row, where: str) -> None:
    far, tar = row.get("far"), row.get("tar")
    if not isinstance(far, list) or not isinstance(tar, list) or len(far) != len(tar):
        raise InputError(f"{where} of this report: far and tar must be lists of one length")
    for key, values in (("far", far), ("tar", tar)):
        for value in values:
            if value is None:
                raise InputError(f"{where}.{key} of this report holds null, expected shares")
            _number(value, f"{where}.{key}", share=True)


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
