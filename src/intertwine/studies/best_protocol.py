"""Our own open-set protocol: the recipe of every map chosen by cross-validation in the training folds.

With a test fold left out, each other fold is left out in turn, maps of every recipe are fitted
without both, and the recipe that verifies these pairs best is the test fold's, for each pair of
networks. The same scores, of maps that saw neither fold, give the threshold: 10 folds need 10 + 45
fits for choice, threshold and test together. Nothing of a test fold is used before its test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from intertwine.map_pair import MapPair
from intertwine.metrics.fold_accuracy import best_threshold, fold_accuracy
from intertwine.studies.fold_moments import fold_sets, scored_pairs
from intertwine.studies.mapped_scores import MappedScores
from intertwine.studies.score_shelf import Scored
from intertwine.studies.verification_trials import Trial
from intertwine.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.arrays import Array
    from intertwine.studies.fold_maps import Pair
    from intertwine.studies.recipe_maps import Recipe, RecipeMaps
    from intertwine.studies.score_shelf import ScoreShelf
    from intertwine.studies.verification_set import VerificationSet
    from intertwine.studies.verification_trials import Say


@dataclass(frozen=True)
class ChosenTrial(Trial):
    """A trial whose maps were chosen inside the training folds.

    Parameters
    ----------
    recipes
        (n_folds,) the recipe of each fold.
    """

    recipes: tuple[Recipe, ...] = ()


def best_trials(
    maps: RecipeMaps, *, shelf: ScoreShelf | None = None, say: Say | None = None
) -> dict[Pair, ChosenTrial]:
    """Return every ordered pair of spaces, verified over the folds by the maps chosen for each.

    Parameters
    ----------
    maps
        Maps by every recipe.
    shelf
        Where scores are kept until the study ends.
    say
        Called with (what, done, total).
    """
    data = maps.data
    shape = (len(maps.recipes), data.n_folds, len(data.fold))
    tables: dict[Pair, Array] = {}
    counts: dict[Pair, list[int]] = {}
    sets = fold_sets(data.n_folds, "crossfit")
    for done, folds in enumerate(sets):
        entries = scored_pairs(folds, data.fold, "crossfit")
        for each in _scored(maps, folds, np.concatenate([pairs for _, pairs in entries]), shelf):
            pair = each.source, each.target
            table = tables.setdefault(pair, np.zeros(shape))
            start = 0
            for row, pairs in entries:
                table[each.rank, row, pairs] = each.scores[start : start + len(pairs)]
                start += len(pairs)
            if len(folds) == 1:
                counts.setdefault(pair, []).append(each.n)
        if say:
            say("fitting and scoring folds", done + 1, len(sets))
    return {pair: _trial(maps, table, counts[pair]) for pair, table in tables.items()}


def choose(tables: Array, same: Array, fold: Array) -> Array:
    """Return the recipe of each fold: the one most accurate on the other folds, (n_folds,) int.

    Parameters
    ----------
    tables
        (n_recipes, n_folds, n) scores, row k of each with fold k left out.
    same
        (n,) bool.
    fold
        (n,) int, 0 … n_folds − 1.

    Returns
    -------
    chosen
        The first of equally good ones; a fold's own pairs have no say in its recipe.
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


def _trial(maps: RecipeMaps, tables: Array, counts: list[int]) -> ChosenTrial:
    data = maps.data
    chosen = choose(tables, data.same, data.fold)
    recipes = tuple(maps.recipes[number] for number in chosen)
    found = fold_accuracy(tables[chosen, np.arange(data.n_folds)], data.same, data.fold)
    alpha = float(np.median([recipe.alpha for recipe in recipes]))
    return ChosenTrial(found, alpha, float(np.mean(counts)), recipes=recipes)


def _scored(
    maps: RecipeMaps, folds: Sequence[int], pairs: Array, shelf: ScoreShelf | None
) -> list[Scored]:
    """Return the scores of some pairs under every map without some folds, the recipe as `rank`."""
    kept = shelf.load(folds) if shelf else None
    if kept is not None:
        return kept
    asked, maps_from = _asked(maps.data, pairs), maps.without(folds)
    everything = np.arange(len(pairs))

    def score(source: str) -> list[Scored]:
        scored = []
        for (target, number), fitted in maps_from(source).items():
            info = (fitted.source if isinstance(fitted, MapPair) else fitted).info
            scores = MappedScores(asked, fitted, source, target).of(everything)
            each = Scored(source, target, number, int(info["n"]), float(info["alpha"]), scores)
            scored.append(each)
        return scored

    scored = [each for part in side_by_side(score, asked.names) for each in part]
    if shelf:
        shelf.save(folds, scored)
    return scored


def _asked(data: VerificationSet, pairs: Array) -> VerificationSet:
    """Return the same with some pairs and their images alone: no other need be mapped."""
    images, rows = np.unique([data.first[pairs], data.second[pairs]], return_inverse=True)
    first, second = rows.reshape(2, -1)
    return replace(
        data,
        features={name: unit[images] for name, unit in data.features.items()},
        first=first,
        second=second,
        same=data.same[pairs],
        fold=data.fold[pairs],
        person=data.person[images],
    )
