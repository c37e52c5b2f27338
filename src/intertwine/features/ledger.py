"""What is known to be complete: in the manifest for a set's one writer, in journals for several."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from intertwine.features.record import MANIFEST
from intertwine.files import RowRanges, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Ledger:
    """Which rows of which spaces are complete, held by one process; `open_ledger` opens one.

    Parameters
    ----------
    folder
        The set.
    manifest
        What is known of the set.
    rows
        Those that the process may write.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], rows: range) -> None:
        self.folder, self.manifest, self._rows = folder, manifest, rows
        self._own, self._file = manifest, folder / MANIFEST
        self._held = ExitStack()

    def hold(self, locks: ExitStack) -> None:
        """Keep locks until `close`."""
        self._held = locks

    @property
    def bad(self) -> list[dict[str, str]]:
        """What is listed as bad, as `id` and `reason`."""
        return list(self._own.get("bad", ()))

    def facts(self, name: str) -> Mapping[str, Any] | None:
        """Return what is known of a space, or None when there is none of this name."""
        found: Mapping[str, Any] | None = self.manifest["spaces"].get(name)
        return found

    def missing(self, name: str) -> list[tuple[int, int]]:
        """Return the ranges of rows of a space that this process may write and are not complete."""
        known = [book["spaces"].get(name, {"complete": []}) for book in (self.manifest, self._own)]
        n = self.manifest["rows"]
        done = RowRanges([(0, self._rows.start), (self._rows.stop, n)])
        for start, stop in (pair for facts in known for pair in facts["complete"]):
            done.add(start, stop)
        return done.missing(n)

    def lacks(self, row: int) -> bool:
        """Return whether some space of the set lacks a row."""
        spaces = self.manifest["spaces"].values()
        return any(all(not a <= row < b for a, b in facts["complete"]) for facts in spaces)

    def make(self, file: Path) -> Path:
        """Return the name under which this process makes an array that is to be placed."""
        return file

    def place(self, name: str, facts: Mapping[str, Any], temporary: Path, file: Path) -> None:
        """List a space as empty, then give its array its name.

        In this order, so that a kill between leaves no false array.
        """
        self._own["spaces"][name] = {**facts, "complete": []}
        self.save()
        temporary.replace(file)

    def adopt(self, name: str, facts: Mapping[str, Any]) -> None:
        """Go on with a space whose array stands there."""

    def complete(
        self, ranges: Mapping[str, Sequence[list[int]]], bad: Sequence[Mapping[str, str]]
    ) -> None:
        """Mark rows complete by space, and list what is bad."""
        changed = bool(ranges) or list(bad) != self.bad
        for name, pairs in ranges.items():
            facts = self._own["spaces"][name]
            done = RowRanges(facts["complete"])
            for start, stop in pairs:
                done.add(start, stop)
            facts["complete"] = done.to_list()
        if bad:
            self._own["bad"] = list(bad)
        else:
            self._own.pop("bad", None)
        if changed:
            self.save()

    def save(self) -> None:
        """Write what this process knows to its own file."""
        write_json(self._file, self._own)

    def close(self) -> None:
        """Let go of the folder."""
        self._held.close()
