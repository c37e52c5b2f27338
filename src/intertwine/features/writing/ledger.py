"""The record of complete rows: the manifest of a set's only writer, or one of several journals."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.features.writing.journal import journal_path, read_journal, read_with_journals
from intertwine.features.writing.record import MANIFEST, place_once
from intertwine.storage.files import write_json
from intertwine.storage.row_ranges import RowRanges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Ledger:
    """Which rows of which spaces are complete, held by one process; `open_ledger` opens one.

    `rows` are those that the process may write.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], rows: range) -> None:
        self.folder, self.manifest, self._rows = folder, manifest, rows
        self._own, self._file = manifest, folder / MANIFEST
        self._held = ExitStack()

    def hold(self, locks: ExitStack) -> None:
        """Hold locks until `close`."""
        self._held = locks

    @property
    def bad(self) -> list[dict[str, str]]:
        """What is listed as bad, as `id` and `reason`."""
        return list(self._own.get("bad", ()))

    def facts(self, name: str) -> Mapping[str, Any] | None:
        """Return the record of a space, or None when there is none of this name."""
        facts: Mapping[str, Any] | None = self.manifest["spaces"].get(name)
        return facts

    def missing(self, name: str) -> list[tuple[int, int]]:
        """Return the ranges of a space that are not complete and that this process may write."""
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
        """Return the name under which this process makes an array before `place`."""
        return file

    def place(self, name: str, facts: Mapping[str, Any], temporary: Path, file: Path) -> None:
        """List a space as empty, then move its array to its name.

        In this order, so that a kill in between leaves no false array.
        """
        self._own["spaces"][name] = {**facts, "complete": []}
        self.save()
        temporary.replace(file)

    def adopt(self, name: str, facts: Mapping[str, Any]) -> None:
        """Continue a space whose array exists."""

    def complete(
        self, ranges: Mapping[str, Sequence[list[int]]], bad: Sequence[Mapping[str, str]]
    ) -> None:
        """Mark rows complete by space, and list the bad ones."""
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
        """Write this process's record to its own file."""
        write_json(self._file, self._own)

    def close(self) -> None:
        """Release the folder."""
        self._held.close()


class FillLedger(Ledger):
    """The ledger of a process that fills some rows while others fill others: its own journal.

    `manifest` includes all journals.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], rows: range) -> None:
        super().__init__(folder, manifest, rows)
        self._file = journal_path(folder, (rows.start, rows.stop))
        empty: dict[str, Any] = {"spaces": {}}
        self._own = read_journal(self._file) if self._file.exists() else empty
        self._begun = {name for name, facts in manifest["spaces"].items() if facts["complete"]}

    def facts(self, name: str) -> Mapping[str, Any] | None:
        """Return the record of a space, also one that another process has begun since."""
        if super().facts(name) is None:
            self.manifest = read_with_journals(self.folder)
        return super().facts(name)

    def make(self, file: Path) -> Path:
        """Return a name under which no other process makes the array."""
        return file.with_name(f"{file.stem}.{secrets.token_hex(6)}.npy")

    def place(self, name: str, facts: Mapping[str, Any], temporary: Path, file: Path) -> None:
        """List a space as empty, then move its array to its name unless another process was first.

        InputError when the array has disappeared although others have completed rows of it.
        """
        if name in self._begun:
            temporary.unlink()
            raise InputError(
                f"{file}: has disappeared, but rows of it are listed as complete; run the command "
                "without --fill, which makes it again"
            )
        self._own["spaces"][name] = {**facts, "complete": []}
        self.save()
        place_once(temporary, file)

    def adopt(self, name: str, facts: Mapping[str, Any]) -> None:
        """List a space whose array another process made."""
        if name not in self._own["spaces"]:
            self._own["spaces"][name] = {**facts, "complete": []}
            self.save()
