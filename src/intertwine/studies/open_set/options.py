"""How the open-set study is done."""

from __future__ import annotations

from dataclasses import dataclass, field

from intertwine.errors import InputError
from intertwine.estimators import FitOptions
from intertwine.studies.open_set.recipes import SIDES

FITS = ("matched-pairs", "images")
THRESHOLDS = ("train", "crossfit")
PROTOCOLS = ("paper", "best")
REPLICATES = 1000


@dataclass(frozen=True)
class OpenSetOptions:
    """How the open-set study is done.

    Parameters
    ----------
    fit
        `matched-pairs` or `images` of the other folds; what a study is given maps or another
        feature set for, it does not use.
    method
        How maps are fitted.
    threshold
        `train`: chosen on the scores that training pairs have under the map fitted on them.
        `crossfit`: under maps that did not see them.
    protocol
        `paper` or `best` where one was asked for, else None. With `best` fit, method and threshold
        are its own.
    space
        With `best`: `target` leaves the target's templates as they are, `shared` maps both sides.
    replicates
        Bootstrap replicates over people; 0 leaves intervals out.
    refit
        Whether each replicate fits maps of its own.
    curve_points
        Points of the curve over the number of fit rows; 0 leaves both curves out.

    Raises
    ------
    InputError
        For a value outside its range.
    """

    fit: str = "matched-pairs"
    method: FitOptions = field(default_factory=FitOptions)
    threshold: str = "train"
    protocol: str | None = None
    space: str = "target"
    replicates: int = REPLICATES
    refit: bool = False
    curve_points: int = 6

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("fit", self.fit, FITS),
            ("threshold", self.threshold, THRESHOLDS),
            ("protocol", self.protocol, (None, *PROTOCOLS)),
            ("space", self.space, SIDES),
        ):
            if value not in allowed:
                listed = ", ".join(each for each in allowed if each)
                raise InputError(f"got {what} {value!r}, expected one of {listed}")
        if self.space == "shared" and not self.is_best:
            raise InputError(
                "got space shared, which protocol best takes; use method cca otherwise"
            )
        if self.refit and self.is_best:
            raise InputError("got refit with protocol best, expected another protocol, or no refit")
        if self.method.needs_heads:
            raise InputError("got method analytic, which needs heads; face networks have none")
        if self.replicates < 0 or self.curve_points < 0:
            raise InputError(
                f"got {self.replicates} replicates and {self.curve_points} curve points, expected "
                "at least 0"
            )

    @property
    def is_best(self) -> bool:
        """Whether the protocol is our own."""
        return self.protocol == "best"
