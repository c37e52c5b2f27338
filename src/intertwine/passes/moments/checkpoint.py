"""Unfinished moments, saved now and then, so that a run after a kill resumes from there."""

from __future__ import annotations

import time
from glob import escape
from typing import TYPE_CHECKING, Any

from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.moments import Moments
from intertwine.storage.files import remove_folder, remove_temporaries
from intertwine.storage.shelf import Checkpoints, run_key

if TYPE_CHECKING:
    from pathlib import Path

# Seconds between two times that moments are saved, unless that costs more than its share.
EVERY_SECONDS = 30.0
# Saving takes at most this share of the time.
SHARE = 0.02
# Moments are saved at these rows only: there no device holds sums that have not been brought in, and
# a run that resumes adds the same numbers in the same order as one that was never stopped.
GRID_ROWS = 4 * BLOCK_ROWS


class MomentsCheckpoint:
    """The moments so far, and workers' parts, in a folder beside an unfinished output.

    The facts, JSON-ready, identify the run; what another run of this output left is removed.
    `every` is the number of seconds between two times, more where saving is costly; 0 saves at
    every row of the grid.
    """

    def __init__(self, output: Path, facts: Any, *, every: float = EVERY_SECONDS) -> None:
        folder = output.with_name(f".{output.name}.moments.parts")
        self.parts = Checkpoints(folder, run_key(facts), "part")
        self.every = every
        self._saved, self._cost = time.monotonic(), 0.0
        self.parts.clear()
        _remove_earlier_format(output)
        remove_temporaries(output)

    def load(self) -> Moments | None:
        """Return the moments that a killed run saved, or None."""
        return self.parts.at("moments").load("so-far", Moments.load)

    def save(self, moments: Moments, *, whole: bool = False) -> None:
        """Save moments, if it is time and they are whole or end at a row of the grid."""
        now = time.monotonic()
        pause = max(self.every, self._cost / SHARE) if self.every else 0
        if now - self._saved < pause or not (whole or moments.next_row % GRID_ROWS == 0):
            return
        moments.save(self.parts.at("moments").path("so-far"))
        self._saved = time.monotonic()
        self._cost = self._saved - now

    def remove(self) -> None:
        """Remove what was saved."""
        remove_folder(self.parts.folder)


def _remove_earlier_format(output: Path) -> None:
    """Remove what a killed run of an earlier version left beside an output."""
    keys = "[0-9a-f]" * 16
    for file in output.parent.glob(f".{escape(output.name)}.{keys}.partial"):
        file.unlink(missing_ok=True)
    for folder in output.parent.glob(f".{escape(output.name)}.{keys}.parts"):
        remove_folder(folder)
