"""What a classifier did on the rows scored so far: counts, which do not grow with the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intertwine.arrays import like, namespace, to_numpy

if TYPE_CHECKING:
    from intertwine.arrays import Array

TOP = 5


@dataclass
class Counts:
    """What one classifier did on the rows scored.

    Parameters
    ----------
    n
        Rows.
    correct, correct_top5
        Rows whose label came first, and among the first five.
    both, gained, lost
        Rows right both here and by the source's own head, right only here, right only there.
    differing
        Rows predicted unlike the source's own head.
    agreeing
        Rows predicted like the target's own head.
    """

    n: int = 0
    correct: int = 0
    correct_top5: int = 0
    both: int = 0
    gained: int = 0
    lost: int = 0
    differing: int = 0
    agreeing: int = 0

    def add(self, logits: Any, labels: Array, own: Array, target: Array | None) -> None:
        """Count one chunk.

        Parameters
        ----------
        logits
            (rows, K), of any array library; no more than two numbers a row leave their device.
        labels, own, target
            (rows,) class numbers: the truth, the predictions of the source's own head, and those
            of the target's own.
        """
        xp = namespace(logits)
        predicted = to_numpy(xp.argmax(logits, axis=1))
        right, right_own = predicted == labels, own == labels
        of_label = xp.take_along_axis(logits, like(labels[:, None], logits), axis=1)
        above = to_numpy(xp.sum(xp.astype(logits > of_label, xp.int32), axis=1))
        self.n += len(labels)
        self.correct += int(right.sum())
        self.correct_top5 += int((above < TOP).sum())
        self.both += int((right & right_own).sum())
        self.gained += int((right & ~right_own).sum())
        self.lost += int((right_own & ~right).sum())
        self.differing += int((predicted != own).sum())
        if target is not None:
            self.agreeing += int((predicted == target).sum())
