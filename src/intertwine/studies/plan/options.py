"""Options of the plan study."""

from __future__ import annotations

from dataclasses import dataclass

from intertwine.errors import InputError
from intertwine.stores.store import METRICS
from intertwine.studies.plan.folds import MIN_FOLDS
from intertwine.studies.plan.pairs import MIN_PAIRS
from intertwine.wording import counted

ROWS = 5000


FOLDS = 10


ACCEPT, LEAST = 0.8, 0.5


@dataclass(frozen=True)
class PlanOptions:
    """How a plan is made.

    Parameters
    ----------
    metric
        How vectors are compared: `cosine`, `ip` or `l2`.
    accept
        Share of re-embedding's quality that is enough.
    least
        Share below which a converted store is not worth repairing.
    n_folds
        Folds of pairs, at least 10; a score is taken with a map that saw neither of its items.
    rows
        The most pairs that are used, of the pairs and of the proxy.
    seed
        Of the draws of folds; samples are decided by ids.

    Raises
    ------
    InputError
        For a value outside its range.
    """

    metric: str = "cosine"
    accept: float = ACCEPT
    least: float = LEAST
    n_folds: int = FOLDS
    rows: int = ROWS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise InputError(f"got metric {self.metric!r}, expected one of {', '.join(METRICS)}")
        if not 0 < self.least <= self.accept <= 1:
            raise InputError(
                f"got least {self.least} and accept {self.accept}, expected 0 < least ≤ accept ≤ 1"
            )
        if not MIN_FOLDS <= self.n_folds <= MIN_PAIRS // 2:
            raise InputError(
                f"got {counted(self.n_folds, 'fold')}, expected {MIN_FOLDS} to {MIN_PAIRS // 2}"
            )
        if self.seed < 0:
            raise InputError(f"got seed {self.seed}, expected 0 or more")
