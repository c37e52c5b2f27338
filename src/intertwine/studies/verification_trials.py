"""Every ordered pair of spaces, verified over the folds with maps that did not see the test fold."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from intertwine.map_pair import MapPair
from intertwine.metrics.fold_accuracy import FoldAccuracy, fold_accuracy
from intertwine.studies.fold_maps import ReadyMaps
from intertwine.studies.fold_moments import fold_sets, scored_pairs
from intertwine.studies.mapped_scores import MappedScores, native_scores
from intertwine.studies.score_shelf import Scored
from intertwine.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.arrays import Array
    from intertwine.studies.fold_maps import Maps, Pair
    from intertwine.studies.score_shelf import ScoreShelf
    from intertwine.studies.verification_set import VerificationSet

    Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Trial:
    """One ordered pair of spaces, verified.

    Parameters
    ----------
    accuracy
        Over folds.
    alpha
        Median λ over folds, None where the method has none.
    n_fit
        Mean number of fit rows over folds, None where maps came from elsewhere.
    replicates
        The same with maps refitted in each bootstrap replicate, where that was asked for.
    """

    accuracy: FoldAccuracy
    alpha: float | None = None
    n_fit: float | None = None
    replicates: tuple[FoldAccuracy, ...] | None = None


def native_trials(data: VerificationSet) -> dict[str, Trial]:
    """Return each space verified within itself."""
    return {
        name: Trial(fold_accuracy(native_scores(data, name), data.same, data.fold))
        for name in data.names
    }


def mapped_trials(
    data: VerificationSet,
    maps: Maps,
    *,
    threshold: str = "train",
    shelf: ScoreShelf | None = None,
    say: Say | None = None,
) -> dict[Pair, Trial]:
    """Return every ordered pair of spaces, verified over the folds.

    Parameters
    ----------
    data
        Features and pairs.
    maps
        Where maps come from, one of a pair.
    threshold
        `train` or `crossfit`.
    shelf
        Where scores are kept until the study ends.
    say
        Called with (what, done, total).
    """
    if isinstance(maps, ReadyMaps):
        return _ready_trials(data, maps)
    found = rank_trials(data, maps, threshold=threshold, shelf=shelf, say=say)
    return {(source, target): trial for (source, target, _), trial in found.items()}


def rank_trials(
    data: VerificationSet,
    maps: Maps,
    *,
    threshold: str = "train",
    shelf: ScoreShelf | None = None,
    say: Say | None = None,
) -> dict[tuple[str, str, int | None], Trial]:
    """Return every ordered pair of spaces at every rank; see `mapped_trials`."""
    kept: dict[tuple[str, str, int | None], _Filling] = {}
    sets = fold_sets(data.n_folds, threshold)
    for done, folds in enumerate(sets):
        entries = scored_pairs(folds, data.fold, threshold)
        scored = shelf.load(folds) if shelf else None
        if scored is None:
            scored = _scored(data, maps, folds, np.concatenate([each for _, each in entries]))
            if shelf:
                shelf.save(folds, scored)
        for each in scored:
            blank = np.zeros((data.n_folds, len(data.fold)))
            filling = kept.setdefault((each.source, each.target, each.rank), _Filling(blank))
            filling.take(each, entries, counted=len(folds) == 1)
        if say:
            say("fitting and scoring folds", done + 1, len(sets))
    return {key: filling.trial(data) for key, filling in kept.items()}


def _scored(data: VerificationSet, maps: Maps, folds: Sequence[int], pairs: Array) -> list[Scored]:
    """Return the scores of some pairs under every map without some folds, sources side by side."""
    maps_from = maps.without(folds)

    def score(source: str) -> list[Scored]:
        scored = []
        for (target, rank), fitted in maps_from(source).items():
            info = fitted.source.info if isinstance(fitted, MapPair) else fitted.info
            scores = MappedScores(data, fitted, source, target).of(pairs)
            alpha = info.get("alpha")
            scored.append(Scored(source, target, rank, int(info["n"]), alpha, scores))
        return scored

    return list(chain.from_iterable(side_by_side(score, data.names)))


@dataclass
class _Filling:
    """A score table being filled, and what the maps said of themselves."""

    table: Array
    alphas: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def take(self, scored: Scored, entries: Sequence[tuple[int, Array]], *, counted: bool) -> None:
        start = 0
        for row, pairs in entries:
            self.table[row, pairs] = scored.scores[start : start + len(pairs)]
            start += len(pairs)
        if counted:
            self.counts.append(scored.n)
            self.alphas += [] if scored.alpha is None else [float(scored.alpha)]

    def trial(self, data: VerificationSet) -> Trial:
        alpha = float(np.median(self.alphas)) if self.alphas else None
        found = fold_accuracy(self.table, data.same, data.fold)
        return Trial(found, alpha, float(np.mean(self.counts)))


def _ready_trials(data: VerificationSet, maps: ReadyMaps) -> dict[Pair, Trial]:
    everything = np.arange(len(data.fold))

    def verify(pair: Pair) -> Trial:
        scores: Array = MappedScores(data, maps.maps[pair], *pair).of(everything)
        return Trial(fold_accuracy(scores, data.same, data.fold))

    pairs = [(a, b) for a in data.names for b in data.names if a != b]
    return dict(zip(pairs, side_by_side(verify, pairs), strict=True))
