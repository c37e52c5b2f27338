"""Every ordered pair of spaces, verified over the folds with maps that did not see the test fold."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from intertwine.estimators.gcv import kind_of_note
from intertwine.maps.map_pair import MapPair
from intertwine.metrics.fold_accuracy import FoldAccuracy, fold_accuracy
from intertwine.parallel.threads import parallel_map
from intertwine.studies.open_set.fold_maps import ReadyMaps
from intertwine.studies.open_set.fold_moments import fold_sets, scored_pairs
from intertwine.studies.open_set.scores import MapScores, save_scores, saved_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.storage.shelf import Checkpoints
    from intertwine.studies.open_set.data import VerificationSet
    from intertwine.studies.open_set.fold_maps import Maps, Pair

    Progress = Callable[[str, int, int], None]
    from intertwine.maps.linear_map import LinearMap


def directions(rows: Array) -> Array:
    """Return rows scaled to norm 1, (n, d); a zero row, which has no direction, stays zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0))


def native_scores(data: VerificationSet, name: str) -> Array:
    """Return each pair's score within one space, (n_pairs,)."""
    features = data.features[name]
    return np.asarray(np.einsum("ij,ij->i", features[data.first], features[data.second]))


def mapped_scores(
    data: VerificationSet,
    fitted: LinearMap | MapPair,
    source: str,
    target: str,
    pairs: Array,
) -> Array:
    """Return scores of pairs, (k,), the first image through a mapped source, the second as the target.

    With f on the unit sphere the score is ⟨M f_A(x₁), f_B(x₂)⟩ / ‖M f_A(x₁)‖, one minus the
    distance of McNeely-White et al. (2020), section 4; M f is normalised nowhere else. With a pair
    of maps both sides are mapped, and both norms divide. It is 0 where a mapped image has no
    direction. Only images of these pair numbers are mapped.
    """
    first, second = data.first[pairs], data.second[pairs]
    if isinstance(fitted, MapPair):
        left = _mapped(data.features[source], fitted.source, first)
        right = _mapped(data.features[target], fitted.target, second)
    else:
        left = _mapped(data.features[source], fitted, first)
        right = data.features[target][second]
    return np.asarray(np.einsum("ij,ij->i", left, right))


def _mapped(features: Array, linear_map: LinearMap, images: Array) -> Array:
    """Return mapped images of norm 1, (k, d); each is mapped and normalised once."""
    unique, row_of = np.unique(images, return_inverse=True)
    rows = linear_map.prepared(features[unique])
    return directions(rows @ linear_map.weight.T + linear_map.bias)[row_of]


@dataclass(frozen=True)
class Trial:
    """One ordered pair of spaces, verified.

    `alpha` is the median λ over folds, `n_fit` the mean number of fit rows, None where maps came
    from elsewhere; `replicates` the same with maps refitted in each bootstrap replicate; `edges`
    notes on the choice of λ, of those folds' maps that have one.
    """

    accuracy: FoldAccuracy
    alpha: float | None = None
    n_fit: float | None = None
    replicates: tuple[FoldAccuracy, ...] | None = None
    edges: tuple[str, ...] = ()


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
    saved: Checkpoints | None = None,
    progress: Progress | None = None,
) -> dict[Pair, Trial]:
    """Return every ordered pair of spaces, verified over the folds by one map a pair."""
    if isinstance(maps, ReadyMaps):
        return _ready_trials(data, maps)
    by_rank = rank_trials(data, maps, threshold=threshold, saved=saved, progress=progress)
    return {(source, target): trial for (source, target, _), trial in by_rank.items()}


def rank_trials(
    data: VerificationSet,
    maps: Maps,
    *,
    threshold: str = "train",
    saved: Checkpoints | None = None,
    progress: Progress | None = None,
) -> dict[tuple[str, str, int | None], Trial]:
    """Return every ordered pair of spaces at every rank; see `mapped_trials`."""
    filled = score_tables(data, maps, threshold=threshold, saved=saved, progress=progress)
    return {key: table.trial(data) for key, table in filled.items()}


def score_tables(
    data: VerificationSet,
    maps: Maps,
    *,
    threshold: str,
    saved: Checkpoints | None = None,
    progress: Progress | None = None,
) -> dict[tuple[str, str, int | None], ScoreTable]:
    """Return the scores of every pair by source, target, and rank or recipe."""
    tables: dict[tuple[str, str, int | None], ScoreTable] = {}
    sets = fold_sets(data.n_folds, threshold)
    for done, folds in enumerate(sets):
        entries = scored_pairs(folds, data.fold, threshold)
        scored = saved_scores(saved, folds) if saved else None
        if scored is None:
            scored = _scored(data, maps, folds, np.concatenate([each for _, each in entries]))
            if saved:
                save_scores(saved, folds, scored)
        for each in scored:
            key = each.source, each.target, each.rank
            if key not in tables:
                tables[key] = ScoreTable(np.zeros((data.n_folds, len(data.fold))))
            tables[key].take(each, entries, counted=len(folds) == 1)
        if progress:
            progress("fitting and scoring folds", done + 1, len(sets))
    return tables


def _scored(
    data: VerificationSet, maps: Maps, folds: Sequence[int], pairs: Array
) -> list[MapScores]:
    """Return the scores of some pairs under every map without some folds, sources side by side."""
    maps_from = maps.without(folds)

    def score(source: str) -> list[MapScores]:
        scored = []
        for (target, rank), fitted in maps_from(source).items():
            info = fitted.info
            scores = mapped_scores(data, fitted, source, target, pairs)
            alpha, edge = info.get("alpha"), kind_of_note(info.get("notes", ()))
            scored.append(MapScores(source, target, rank, int(info["n"]), alpha, edge, scores))
        return scored

    return list(chain.from_iterable(parallel_map(score, data.names)))


@dataclass
class ScoreTable:
    """Scores of one kind of map over the folds, and what its maps record of themselves.

    Row k of `scores`, (n_folds, n_pairs), holds what counts when fold k is tested; the lists hold
    λ, fit rows and notes on the choice of λ of the tested folds' maps.
    """

    scores: Array
    alphas: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)

    @property
    def n_fit(self) -> float:
        """Mean number of fit rows over folds."""
        return float(np.mean(self.counts))

    def take(
        self, scored: MapScores, entries: Sequence[tuple[int, Array]], *, counted: bool
    ) -> None:
        """Fill in one map's scores, and count the map if it is a tested fold's."""
        start = 0
        for row, pairs in entries:
            self.scores[row, pairs] = scored.scores[start : start + len(pairs)]
            start += len(pairs)
        if counted:
            self.counts.append(scored.n)
            self.alphas += [] if scored.alpha is None else [float(scored.alpha)]
            self.edges += [scored.edge] if scored.edge else []

    def trial(self, data: VerificationSet) -> Trial:
        """Return the verification by these scores."""
        alpha = float(np.median(self.alphas)) if self.alphas else None
        accuracy = fold_accuracy(self.scores, data.same, data.fold)
        return Trial(accuracy, alpha, self.n_fit, edges=tuple(self.edges))


def _ready_trials(data: VerificationSet, maps: ReadyMaps) -> dict[Pair, Trial]:
    everything = np.arange(len(data.fold))

    def verify(pair: Pair) -> Trial:
        scores = mapped_scores(data, maps.maps[pair], *pair, everything)
        return Trial(fold_accuracy(scores, data.same, data.fold))

    pairs = [(a, b) for a in data.names for b in data.names if a != b]
    return dict(zip(pairs, parallel_map(verify, pairs), strict=True))
