"""Our own open-set protocol: the recipe of every map chosen by cross-validation in the training folds.

With a test fold left out, each other fold is left out in turn, maps of every recipe are fitted
without both, and the recipe that verifies these pairs best is the test fold's, for each pair of
networks. The threshold is chosen on the same scores, of maps that saw neither fold: 10 folds need 10 + 45
fits for choice, threshold and test together. Nothing of a test fold is used before its test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.metrics.fold_accuracy import best_threshold, fold_accuracy
from intertwine.studies.open_set.trials import Trial, score_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.storage.shelf import Checkpoints
    from intertwine.studies.open_set.fold_maps import Pair
    from intertwine.studies.open_set.recipes import Recipe, RecipeMaps
    from intertwine.studies.open_set.trials import Progress, ScoreTable


@dataclass(frozen=True)
class ChosenTrial(Trial):
    """A trial whose maps were chosen inside the training folds: one recipe a fold."""

    recipes: tuple[Recipe, ...] = ()


def best_trials(
    maps: RecipeMaps, *, saved: Checkpoints | None = None, progress: Progress | None = None
) -> dict[Pair, ChosenTrial]:
    """Return every ordered pair of spaces, verified over the folds by the maps chosen for each."""
    filled = score_tables(maps.data, maps, threshold="crossfit", saved=saved, progress=progress)
    recipes = range(len(maps.recipes))
    return {
        (a, b): _trial(maps, [filled[a, b, number] for number in recipes])
        for a, b in dict.fromkeys((source, target) for source, target, _ in filled)
    }


def choose(tables: Array, same: Array, fold: Array) -> Array:
    """Return the recipe of each fold, (n_folds,) int: the first most accurate on the other folds.

    `tables` are (n_recipes, n_folds, n) scores, row k of each with fold k left out. A fold's own
    pairs do not influence its recipe.
    """
    chosen = np.zeros(tables.shape[1], np.int64)
    for k in range(tables.shape[1]):
        other = fold != k
        accuracies = [
            ((scores > best_threshold(scores, same[other])) == same[other]).mean()
            for scores in tables[:, k, other]
        ]
        chosen[k] = int(np.argmax(accuracies))
    return chosen


def _trial(maps: RecipeMaps, filled: Sequence[ScoreTable]) -> ChosenTrial:
    """Return the trial of one pair of spaces from its scores by every recipe."""
    data, tables = maps.data, np.stack([each.scores for each in filled])
    chosen = choose(tables, data.same, data.fold)
    recipes = tuple(maps.recipes[number] for number in chosen)
    accuracy = fold_accuracy(tables[chosen, np.arange(data.n_folds)], data.same, data.fold)
    alpha = float(np.median([recipe.alpha for recipe in recipes]))
    return ChosenTrial(accuracy, alpha, filled[0].n_fit, recipes=recipes)
