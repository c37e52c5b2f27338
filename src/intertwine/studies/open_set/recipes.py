"""Maps of the best protocol, by every recipe: images, people and a penalty of two parts.

Maps are fitted on every image of the training folds' people through both networks, whitened by
K = S + τ n C_w + λI (see `estimators.within_class`): half-whitened where the target's templates stay
as they are, canonical correlation where both sides are mapped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.cca import cca
from intertwine.estimators.within_class import WithinClass, half_whitened, within_whitenings
from intertwine.maps.map_pair import MapPair
from intertwine.parallel.threads import parallel_map
from intertwine.studies.open_set.fold_moments import FoldMoments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.estimators.cca import Whitening
    from intertwine.moments.moments import Moments
    from intertwine.studies.open_set.data import VerificationSet
    from intertwine.studies.open_set.fold_maps import AnyMap, MapsFrom, Target

# What is compared: the target's templates as they are stored, or both sides mapped.
SIDES = ("target", "shared")


@dataclass(frozen=True)
class Recipe:
    """How a map is penalised: τ, the weight of the covariance within people, and λ."""

    within: float
    alpha: float


# Among equally good ones the first is taken.
RECIPES = tuple(Recipe(within, alpha) for within in (1.0, 3.0, 0.0) for alpha in (3.0, 30.0))


@dataclass(frozen=True)
class RecipeMaps:
    """Maps by every recipe, where other studies have maps of every rank.

    With side `target` the source alone is mapped, with `shared` both are.
    """

    data: VerificationSet
    side: str = "target"
    recipes: tuple[Recipe, ...] = RECIPES
    precision: str = "float64"
    device: str = "cpu"
    _rows: FoldMoments = field(init=False, repr=False)
    _deviations: FoldMoments = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise InputError(f"got side {self.side!r}, expected one of {', '.join(SIDES)}")
        if not self.recipes:
            raise InputError("got no recipe, expected at least one")
        rows = FoldMoments.of(self.data, "images", self.precision, self.device)
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "_deviations", _deviations(rows))

    def without(self, folds: Sequence[int]) -> MapsFrom:
        """Fit by every recipe without some folds; see `fold_maps.Maps`."""
        moments, names = self._rows.without(folds), self.data.names
        factored = self._factored(moments, folds)
        made_before: dict[tuple[int, str, str], MapPair] = {}

        def shared(number: int, source: str, target: str) -> MapPair:
            # A shared space has two directions, fitted once and in one order, so that no
            # bit depends on which of two threads came first.
            first, second = sorted((source, target), key=names.index)
            made = made_before.pop((number, first, second), None)
            if made is None:
                alpha, whitenings = self.recipes[number].alpha, factored[number]
                made = cca(moments, first, [second], alpha=alpha, whitenings=whitenings)[second]
                made_before[number, first, second] = made
            return made if source == first else MapPair(made.target, made.source)

        def fit(source: str) -> dict[Target, AnyMap]:
            targets = [name for name in names if name != source]
            maps: dict[Target, AnyMap] = {}
            for number, whitenings in enumerate(factored):
                made: Mapping[str, AnyMap]
                if self.side == "target":
                    made = half_whitened(source, targets, whitenings)
                else:
                    made = {target: shared(number, source, target) for target in targets}
                maps |= {(target, number): made[target] for target in targets}
            return maps

        return fit

    def _factored(self, moments: Moments, folds: Sequence[int]) -> list[dict[str, Whitening]]:
        """Return the whitenings of each recipe, one eigendecomposition for all λ of a τ."""
        rows = self._deviations
        left = ~rows.barred[:, sorted(folds)].any(axis=1)
        if left.sum() < 2:
            shown = ", ".join(str(fold + 1) for fold in sorted(folds))
            raise InputError(
                "the best protocol learns how images of one person differ, but nobody has two images "
                f"outside fold {shown}; list pairs of two images of a person, or choose another protocol"
            )
        people = self.data.person[rows.sides[""][left]]
        within = WithinClass(rows.without(folds), len(np.unique(people)))
        alphas = {each.alpha for each in self.recipes}
        weights = list({each.within for each in self.recipes})
        jobs = [(weight, name) for weight in weights for name in self.data.names]
        done = parallel_map(
            lambda job: within_whitenings(moments, [job[1]], within, weight=job[0], alphas=alphas),
            jobs,
        )
        found = dict(zip(jobs, done, strict=True))
        return [
            {name: found[each.within, name][each.alpha][name] for name in self.data.names}
            for each in self.recipes
        ]


def _deviations(rows: FoldMoments) -> FoldMoments:
    """Return the rows of people with several images, each less its person's mean.

    A person's images are barred from the same folds, so a mean is of images that are all there.
    """
    data = rows.data
    counts = np.bincount(data.person)
    features = {}
    for name, unit in data.features.items():
        sums = np.zeros((len(counts), unit.shape[1]))
        np.add.at(sums, data.person, unit)
        features[name] = unit - (sums / counts[:, None])[data.person]
    images = np.flatnonzero(counts[data.person] > 1)
    deviating = replace(data, features=features)
    return replace(
        rows, data=deviating, sides={"": images}, barred=rows.barred[images], _total=None
    )
