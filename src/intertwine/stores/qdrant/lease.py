"""A note of who writes to a Qdrant target, in its ledger's metadata, which runs out unless renewed.

Runs of one machine hold a lock file as well, which a kill releases at once. So a note of this
machine is a killed run's, and only notes of other machines count.
"""

from __future__ import annotations

import json
import os
import platform
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from intertwine.errors import InputError

if TYPE_CHECKING:
    from intertwine.stores.qdrant.ledger import Ledger

LEASE = "lease"
# How long a note counts, and how old it gets before it is renewed.
SECONDS, RENEWED_AFTER = 90, 20


class Lease:
    """A note of this run in the metadata of a target's ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.since, self._noted = ledger, datetime.now(UTC), 0.0
        self.held = False

    def take(self) -> None:
        """Note that this run writes; where a run of another machine does, the error names it."""
        self.held = True
        if not self.ledger.exists():
            return
        try:
            note = json.loads(self.ledger.metadata().get(LEASE) or "null")
            host, until = str(note["host"]), float(note["until"])
        except (ValueError, KeyError, TypeError):
            host, until = platform.node(), 0.0
        if host != platform.node() and until > time.time():
            self.held = False
            raise InputError(
                f"{self.ledger.store.name}: another run is writing it (process {note.get('process')} on "
                f"{host} since {note.get('since')}); wait for that one, or, where it was killed, "
                f"{until - time.time():.0f} seconds"
            )
        self._write(time.time() + SECONDS)

    def renew(self) -> None:
        """Note it again where that is due."""
        if self.held and time.monotonic() - self._noted > RENEWED_AFTER and self.ledger.exists():
            self._write(time.time() + SECONDS)

    def end(self) -> None:
        """Remove the note."""
        self.held = False
        if self.ledger.exists():
            self._write(0.0)

    def _write(self, until: float) -> None:
        self._noted = time.monotonic()
        value = {
            "process": os.getpid(),
            "host": platform.node(),
            "since": self.since.isoformat(timespec="seconds"),
            "until": until,
        }
        self.ledger.note(LEASE, json.dumps(value))
