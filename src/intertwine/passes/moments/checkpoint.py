"""Moments in the making, kept on disk now and then, so that a killed run goes on from there."""

from __future__ import annotations

import hashlib
import json
import time
from glob import escape
from typing import TYPE_CHECKING, Any

from intertwine.errors import FileFormatError
from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.moments import Moments
from intertwine.storage.files import forget, forget_temporary

if TYPE_CHECKING:
    from pathlib import Path

# Seconds between two times that moments are kept, unless keeping them costs more than its share.
EVERY_SECONDS = 30.0
# Keeping takes at most this share of the time.
SHARE = 0.02
# Moments are kept at these rows only: there no device holds sums that have not been brought in, and
# a run that goes on adds the same numbers in the same order as one that was never stopped.
GRID_ROWS = 4 * BLOCK_ROWS


class Checkpoint:
    """A file beside an output that holds the moments so far, and a folder of workers' parts.

    Parameters
    ----------
    output
        The file or folder in the making.
    facts
        JSON-ready: what makes this run this run. What another run of this output kept is removed.
    every
        Seconds between two times, more where keeping is costly; 0 keeps at every row of the grid.
    """

    def __init__(self, output: Path, facts: Any, *, every: float = EVERY_SECONDS) -> None:
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        self.path = output.with_name(f".{output.name}.{key}.partial")
        self.parts = self.path.with_suffix(".parts")
        self.every = every
        self._kept, self._cost = time.monotonic(), 0.0
        # A key's own characters only: `a` leaves alone what `a.b`, which may be running, keeps.
        keys = "[0-9a-f]" * len(key)
        for other in output.parent.glob(f".{escape(output.name)}.{keys}.partial"):
            if other != self.path:
                other.unlink(missing_ok=True)
        for other in output.parent.glob(f".{escape(output.name)}.{keys}.parts"):
            if other != self.parts:
                forget(other)
        for file in (self.path, output):
            forget_temporary(file)

    def load(self) -> Moments | None:
        """Return the moments that a killed run kept, or None."""
        if not self.path.exists():
            return None
        try:
            return Moments.load(self.path)
        except FileFormatError:
            self.path.unlink()
            return None

    def keep(self, moments: Moments, *, whole: bool = False) -> None:
        """Keep moments, if it is time and they are whole or stand at a row of the grid."""
        now = time.monotonic()
        pause = max(self.every, self._cost / SHARE) if self.every else 0
        if now - self._kept < pause or not (whole or moments.next_row % GRID_ROWS == 0):
            return
        moments.save(self.path)
        self._kept = time.monotonic()
        self._cost = self._kept - now

    def remove(self) -> None:
        """Forget what was kept."""
        self.path.unlink(missing_ok=True)
        forget(self.parts)
