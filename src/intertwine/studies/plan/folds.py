"""Moments of pairs without any two folds.

A map that has seen the query's pair, or that of the item it is to find, draws the two together: with
few pairs this promises a third more than a migration keeps. So the score of a query in fold f and an
item in fold g is taken with a map that saw neither fold. Each map leaves out two folds, within a
fold a neighbour's as well, so that all are fitted on as many pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from intertwine.features.feature_set import CHUNK_ROWS
from intertwine.moments.moments import Moments
from intertwine.parallel.threads import one_by_one
from intertwine.studies.plan.held_out import Smoother

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.studies.plan.measure import Tables
    from intertwine.studies.plan.pairs import Pairs

# With fewer, half as many folds leave out so much that the extrapolation goes astray: from 6 folds of
# 1,000 pairs of 1,280 dimensions a forecast was 7 points too high, from 10 less than 2.
MIN_FOLDS = 10
# Of so few pairs folds are drawn several times: the forecast depends on which pairs share a fold.
FEW_PAIRS = 1000
DRAWS = 3


class Whole:
    """What all draws of folds share: sums of all pairs, or of the `first`, that may be fitted on."""

    def __init__(self, pairs: Pairs, first: int | None = None) -> None:
        self.pairs, self.first = pairs, pairs.n if first is None else first
        self._smoothers: dict[str, Smoother] = {}

    @cached_property
    def moments(self) -> Moments:
        """Their joint moments."""
        return moments_of(self.pairs, np.arange(self.first))

    def smoother(self, source: str) -> Smoother:
        """Return ridge from one space to the other, in compact coordinates."""
        if source not in self._smoothers:
            pairs = self.pairs.compact
            x, y = (pairs.a, pairs.b) if source == pairs.source.name else (pairs.b, pairs.a)
            # With one thread of BLAS, so that rounding does not depend on how many cores there are.
            (made,) = one_by_one(lambda first: Smoother.of(x, y, first), [self.first])
            self._smoothers[source] = made
        return self._smoothers[source]


class FoldSums:
    """Joint moments of pairs, with any two folds left out, by subtraction.

    There are at least 3 folds. Only the `first` pairs may be fitted on, all when it is None;
    `whole` is what this draw shares with others.
    """

    def __init__(
        self,
        pairs: Pairs,
        n_folds: int,
        *,
        first: int | None = None,
        seed: Sequence[int] = (0, 0),
        whole: Whole | None = None,
    ) -> None:
        self.pairs, self.n_folds = pairs, n_folds
        group = np.arange(pairs.n) if pairs.groups is None else pairs.groups
        self.fold = drawn_folds(np.bincount(group), n_folds, seed)[group]
        self.whole = Whole(pairs, first) if whole is None else whole
        self.first = self.whole.first
        self._parts: list[Moments] = []

    def sum_up(self) -> None:
        """Sum up the moments of each fold, in compact coordinates, for `without`."""
        if self._parts:
            return
        rows, pairs = np.arange(self.first), self.pairs.compact
        for fold in range(self.n_folds):
            self._parts.append(moments_of(pairs, rows[self.fold[rows] == fold]))
        self._sum = self._parts[0].copy()
        for part in self._parts[1:]:
            self._sum += part

    def rows(self, f: int, g: int) -> Array:
        """Return the pairs of two folds that others may be fitted on, ascending."""
        return np.flatnonzero(np.isin(self.fold[: self.first], (f, g)))

    def without(self, f: int, g: int) -> Moments:
        """Return the moments of all pairs but those of two folds, in compact coordinates, once summed up."""
        return self._sum - (self._parts[f] + self._parts[g])

    def left_out(self) -> list[tuple[int, int, list[tuple[int, int]]]]:
        """Return each two folds to leave out, and the (query, item) folds that their map serves."""
        n = self.n_folds
        served: list[tuple[int, int, list[tuple[int, int]]]] = []
        for f in range(n):
            for g in range(f + 1, n):
                blocks = [(f, g), (g, f)]
                if g == f + 1:
                    blocks.append((f, f))
                if (f, g) == (0, n - 1):
                    blocks.append((g, g))
                served.append((f, g, blocks))
        return served


def drawn_folds(sizes: Array, n_folds: int, seed: Sequence[int]) -> Array:
    """Draw a fold for each group of pairs, (n_groups,), so that folds hold about as many pairs.

    Large groups come first, n_folds at a time, each into a fold of its own, the largest into the
    smallest. Of groups of one pair any n_folds neighbours are in n_folds folds: the first pairs are
    balanced too.
    """
    draws = np.tile(np.arange(n_folds), (-(-len(sizes) // n_folds), 1))
    draws = np.random.default_rng(list(seed)).permuted(draws, axis=1)
    largest_first = np.argsort(-sizes, kind="stable")
    fold, held = np.empty(len(sizes), np.int64), np.zeros(n_folds, np.int64)
    for start, draw in zip(range(0, len(sizes), n_folds), draws, strict=True):
        some = largest_first[start : start + n_folds]
        smallest_first = draw[np.argsort(held[draw], kind="stable")][: len(some)]
        fold[some] = smallest_first
        held[smallest_first] += sizes[some]
    return fold


def moments_of(pairs: Pairs, rows: Array | None = None) -> Moments:
    """Return the joint moments of some pairs, of all when omitted."""
    rows = np.arange(pairs.n) if rows is None else rows
    names = pairs.source.name, pairs.target.name
    # One origin for all parts, so that none has to be moved when they are added.
    origin = dict(zip(names, (pairs.a.mean(axis=0), pairs.b.mean(axis=0)), strict=True))
    moments = Moments([pairs.source, pairs.target], precision="float64", origin=origin)
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = rows[start : start + CHUNK_ROWS]
        moments.update(dict(zip(names, (pairs.a[chunk], pairs.b[chunk]), strict=True)))
    moments.flush()  # before several threads read them
    return moments


@dataclass(frozen=True)
class Folds:
    """Sums of pairs in folds, and in half as many; where pairs are few, several draws of both."""

    fine: list[FoldSums]
    coarse: list[FoldSums]

    @classmethod
    def of(cls, pairs: Pairs, n_folds: int, *, seed: int = 0, first: int | None = None) -> Folds:
        """Sum up the pairs in at least 10 folds; with `first`, of so many pairs in one draw."""
        draws = range(DRAWS if first is None and pairs.n <= FEW_PAIRS else 1)
        whole = Whole(pairs, first)
        fine, coarse = (
            [FoldSums(pairs, count, seed=(seed, draw), whole=whole) for draw in draws]
            for count in (n_folds, n_folds // 2)
        )
        return cls(fine, coarse)

    def extrapolated(self, fine: Sequence[Array], coarse: Sequence[Array]) -> Tables:
        """Return tables of every draw with the coefficients that combine what they find."""
        many, few = self.fine[0].n_folds, self.coarse[0].n_folds
        beyond, draws = few / (many - few), len(self.fine)
        return [
            *(((1 + beyond) / draws, table) for table in fine),
            *((-beyond / draws, table) for table in coarse),
        ]
