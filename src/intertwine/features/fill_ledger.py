"""The ledger of one of several processes that fill a set at the same time."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.features.journal import journal_path, known, read_journal
from intertwine.features.ledger import Ledger
from intertwine.features.set_up import place_once

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class FillLedger(Ledger):
    """The ledger of a process that fills some rows while others fill others: a journal of its own.

    Parameters
    ----------
    folder, manifest, rows
        As in `Ledger`; the manifest with what all journals say.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], rows: range) -> None:
        super().__init__(folder, manifest, rows)
        self._file = journal_path(folder, (rows.start, rows.stop))
        empty: dict[str, Any] = {"spaces": {}}
        self._own = read_journal(self._file) if self._file.exists() else empty
        self._begun = {name for name, facts in manifest["spaces"].items() if facts["complete"]}

    def facts(self, name: str) -> Mapping[str, Any] | None:
        """Return what is known of a space, by others who began since too."""
        if super().facts(name) is None:
            self.manifest = known(self.folder)
        return super().facts(name)

    def make(self, file: Path) -> Path:
        """Return a name that no other process makes the array under."""
        return file.with_name(f"{file.stem}.{secrets.token_hex(6)}.npy")

    def place(self, name: str, facts: Mapping[str, Any], temporary: Path, file: Path) -> None:
        """List a space as empty, then give its array its name unless another process was first.

        Raises
        ------
        InputError
            When the array is gone of which others have completed rows.
        """
        if name in self._begun:
            temporary.unlink()
            raise InputError(
                f"{file}: is gone, while rows of it are listed as complete; run the command "
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
