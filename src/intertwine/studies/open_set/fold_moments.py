"""The rows that maps are fitted on inside each fold, as joint moments without the folds in hand.

Moments of all rows are made once; what a fold holds is subtracted. Two kinds of rows: matched pairs,
where one person's first image goes through the source and the second through the target, and
images, where one image goes through both.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.features.feature_set import CHUNK_ROWS
from intertwine.moments.moments import MIN_REMAINING_SHARE, Moments
from intertwine.spaces import Space
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.studies.open_set.data import VerificationSet

FIRST, SECOND = "first.", "second."


@dataclass
class FoldMoments:
    """Joint moments of fit rows, with any folds left out.

    `sides` are (n_rows,) image numbers by prefix of a space's name in the moments, where rows
    correspond; `barred`, (n_rows, n_folds) bool, marks rows that must not be fitted on when a fold
    is tested; `prefixes` are those of a source and a target.
    """

    data: VerificationSet
    sides: dict[str, Array]
    barred: Array
    prefixes: tuple[str, str]
    precision: str = "float64"
    device: str = "cpu"
    _total: Moments | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, data: VerificationSet, kind: str, precision: str = "float64", device: str = "cpu"
    ) -> FoldMoments:
        """Choose the rows.

        `matched-pairs`: the matched pairs, in the listed direction only; a pair is barred from its
        own fold. `images`: every image that the pairs name, once; an image is barred from every
        fold that shows its person.
        """
        if kind == "images":
            images = np.arange(data.n_images)
            barred = data.in_folds()[data.person]
            return cls(data, {"": images}, barred, ("", ""), precision, device)
        rows = np.flatnonzero(data.same)
        barred = np.eye(data.n_folds, dtype=bool)[data.fold[rows]]
        sides = {FIRST: data.first[rows], SECOND: data.second[rows]}
        return cls(data, sides, barred, (FIRST, SECOND), precision, device)

    @property
    def n(self) -> int:
        """Number of rows in all folds."""
        return len(self.barred)

    def taking(self, rows: Array) -> FoldMoments:
        """Return the same over some of the rows; a row number that repeats counts repeatedly."""
        sides = {prefix: images[rows] for prefix, images in self.sides.items()}
        return replace(self, sides=sides, barred=self.barred[rows], _total=None)

    def source(self, name: str) -> str:
        """Return what a space is called in the moments as a source."""
        return self.prefixes[0] + name

    def target(self, name: str) -> str:
        """Return what a space is called in the moments as a target."""
        return self.prefixes[1] + name

    def without(self, folds: Iterable[int]) -> Moments:
        """Return the moments of the rows, at least two, to fit on when some folds are left out."""
        listed = sorted(folds)
        out = self.barred[:, listed].any(axis=1)
        remaining = int((~out).sum())
        if remaining < 2:
            shown = ", ".join(str(fold + 1) for fold in listed)
            raise InputError(
                f"got {counted(remaining, 'row')} to fit on without fold {shown}, expected at least 2; use a list "
                "of pairs whose other folds hold more people"
            )
        if remaining < max(MIN_REMAINING_SHARE * self.n, int(out.sum())):
            return self._moments(np.flatnonzero(~out))
        if self._total is None:
            self._total = self._moments(np.arange(self.n))
        return self._total - self._moments(np.flatnonzero(out)) if out.any() else self._total

    def _moments(self, rows: Array) -> Moments:
        features, spaces = self.data.features, self.data.spaces
        listed = [
            Space(prefix + name, space.dim, space.fingerprint)
            for prefix in self.sides
            for name, space in spaces.items()
        ]
        # Unit features lie about the sphere's centre: zero is as good an origin as any, and one that
        # all parts share.
        origin = {space.name: np.zeros(space.dim) for space in listed}
        moments = Moments(listed, precision=self.precision, device=self.device, origin=origin)
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[start : start + CHUNK_ROWS]
            moments.update(
                {
                    prefix + name: features[name][images[chunk]]
                    for prefix, images in self.sides.items()
                    for name in spaces
                }
            )
        moments.flush()  # before several threads read them
        return moments


def fold_sets(n_folds: int, threshold: str) -> list[tuple[int, ...]]:
    """Return the sets of folds that maps must be fitted without.

    `train`: each fold. `crossfit`: each pair of folds besides, so that the training pairs that a
    threshold is chosen on are as new to their map as the test pairs.
    """
    single: list[tuple[int, ...]] = [(k,) for k in range(n_folds)]
    if threshold == "train":
        return single
    return single + [(j, k) for k in range(n_folds) for j in range(k)]


def scored_pairs(folds: Sequence[int], fold: Array, threshold: str) -> list[tuple[int, Array]]:
    """Return which entries of the (n_folds, n_pairs) score table a map fills: rows and pair numbers.

    `folds`, from `fold_sets`, are those that the map was fitted without; `fold` is (n_pairs,).
    """
    if len(folds) == 1:
        k = folds[0]
        everything = np.arange(len(fold))
        return [(k, everything if threshold == "train" else everything[fold == k])]
    j, k = folds
    return [(k, np.flatnonzero(fold == j)), (j, np.flatnonzero(fold == k))]
