"""What is found at k = 10, with everybody and without each of 20 to 50 groups of items.

A group leaves both the queries and the gallery; the others' neighbours close up. Maps are not fitted
again. A table enters with a coefficient: the forecast is a combination of two (see `plan_forecast`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from intertwine.metrics import retrieval
from intertwine.metrics.intervals import jackknife_error, t_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.metrics.retrieval import Lists
    from intertwine.numerics.arrays import Array

    Tables = Sequence[tuple[float, Array]]

K = 10
# Of at least ten items where there are enough: the more groups, the steadier the interval's width.
FEWEST_GROUPS, MOST_GROUPS, GROUP_ITEMS = 20, 50, 10
# What is no more than this above chance is rounding.
ROUNDING = 1e-9
# Items a list holds at least: few of it leave with one of the groups.
DEPTH = 40


@dataclass(frozen=True)
class Estimate:
    """A number with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def clipped(self) -> Estimate:
        """Return the same within 0 … 1."""
        value, low, high = (min(max(each, 0.0), 1.0) for each in (self.value, self.low, self.high))
        return Estimate(value, low, high)


@dataclass(frozen=True)
class Gains:
    """Means over queries, with everybody first and then without each group, (1 + groups,) each.

    `recall` is the share of the k true neighbours found; `ndcg` and `precision` are by labels, None
    where there are none.
    """

    recall: Array
    ndcg: Array | None = None
    precision: Array | None = None

    def by_name(self, name: str) -> Array | None:
        """Return one of the three."""
        return {"recall": self.recall, "ndcg": self.ndcg, "precision": self.precision}[name]


class Measure:
    """Counts what tables of scores find of the truth.

    `native` are the (n, n) scores of new queries with new vectors, −inf for a query itself. An item
    is relevant where its label is the query's; queries whose label has no other member are left
    out, and so are those whose label is negative, which is nobody's. `groups` (n,) are numbers,
    from 0, of groups that leave together, every item alone when None. `unlabelled` is why nothing
    is counted by labels, None where it is.
    """

    unlabelled: str | None

    def __init__(
        self,
        native: Array,
        labels: Array | None = None,
        k: int = K,
        *,
        groups: Array | None = None,
    ) -> None:
        self.n, self.k = len(native), k
        self.group = left_out_together(np.arange(self.n) if groups is None else groups)
        # Items a list holds: k, and as many again as leave with a group in the worst case.
        self.depth = DEPTH if groups is None else max(DEPTH, k + int(self.sizes.max()))
        self.truth = listed(native, self.depth)
        self.alive = [np.ones(self.n, bool)]
        self.alive += [self.group != number for number in range(len(self.sizes))]
        self.labels = None if labels is None else alone(labels)
        self.unlabelled = None if labels is not None else "the pairs have no labels"
        if labels is not None and not all(self._members(each)[2].any() for each in self.alive):
            self.labels, self.unlabelled = None, "too few pairs share a label"

    @cached_property
    def sizes(self) -> Array:
        """Items of each group, (groups,)."""
        return np.bincount(self.group)

    def of(self, tables: Tables) -> Gains:
        """Return what a combination of tables finds."""
        parts = [(share, self.found(listed(table, self.depth))) for share, table in tables]
        return combined(parts)

    def found(self, lists: Lists) -> Gains:
        """Return what lists of items find."""
        ranks = retrieval.ranks_in(self.truth, lists, self.n)
        recall, ndcg, precision = [], [], []
        weights = retrieval.recall_weights(self.k)
        for alive in self.alive:
            kept = lists.keeping(alive)
            near = retrieval.true_neighbours(self.truth, ranks, alive, self.k)
            recall.append(retrieval.expected_gain(lists, near, kept, weights)[alive].mean())
            if self.labels is not None:
                values = self._by_label(lists, kept, alive)
                ndcg.append(values[0])
                precision.append(values[1])
        if self.labels is None:
            return Gains(np.array(recall))
        return Gains(np.array(recall), np.array(ndcg), np.array(precision))

    def among_first(self, lists: Lists, depths: Sequence[int]) -> Array:
        """Return the share of true neighbours among the first items, (n_depths, 1 + groups)."""
        ranks = retrieval.ranks_in(self.truth, lists, self.n)
        weights = np.array([retrieval.recall_weights(self.k, d, max(depths)) for d in depths])
        values = []
        for alive in self.alive:
            near = retrieval.true_neighbours(self.truth, ranks, alive, self.k)
            gains = retrieval.expected_gain(lists, near, lists.keeping(alive), weights)
            values.append(gains[:, alive].mean(axis=1))
        return np.array(values).T

    def of_chance(self) -> Gains:
        """Return what a gallery of equal vectors finds: every item is as likely as another."""
        alive = [int(each.sum()) for each in self.alive]
        recall = np.array([self.k / (count - 1) for count in alive])
        if self.labels is None:
            return Gains(recall)
        ndcg, precision = [], []
        for each, count in zip(self.alive, alive, strict=True):
            others, ideal, asked = self._members(each)
            share = others[asked] / (count - 1)
            whole = retrieval.dcg_weights(self.k).sum()
            ndcg.append((share * whole / ideal[asked]).mean())
            precision.append(share.mean())
        return Gains(recall, np.array(ndcg), np.array(precision))

    def tells(self, found: Gains) -> bool:
        """Return whether what is found by labels beats chance by twice the half width at least."""
        if found.ndcg is None:
            return False
        above = self.estimate(found.ndcg - np.asarray(self.of_chance().ndcg))
        return above.low > max(above.value / 2, ROUNDING)

    def estimate(self, values: Array) -> Estimate:
        """Return the first of the values, with its jackknife interval from the others."""
        score, without = float(values[0]), values[1:]
        half = t_factor(len(without)) * jackknife_error(score, without, self.sizes)
        return Estimate(score, score - half, score + half)

    def _by_label(self, lists: Lists, kept: Array, alive: Array) -> tuple[float, float]:
        labels = self.labels
        assert labels is not None  # noqa: S101 - who calls has looked
        same = labels[lists.items] == labels[:, None]
        _, ideal, asked = self._members(alive)
        weights = np.array([retrieval.dcg_weights(self.k), retrieval.recall_weights(self.k)])
        dcg, precision = retrieval.expected_gain(lists, same, kept, weights)
        return float((dcg[asked] / ideal[asked]).mean()), float(precision[asked].mean())

    def _members(self, alive: Array) -> tuple[Array, Array, Array]:
        """Return each query's relevant items, its best DCG, and whether it is asked, (n,) each."""
        _, number = np.unique(np.asarray(self.labels), return_inverse=True)
        others = np.bincount(number, weights=alive)[number] - 1
        best = np.cumsum(retrieval.dcg_weights(self.k))
        ideal = best[np.clip(others, 1, self.k).astype(np.int64) - 1]
        return others, ideal, alive & (others > 0)


def alone(labels: Array) -> Array:
    """Return labels of which no two rows share a negative one."""
    return np.where(labels < 0, -1 - np.arange(len(labels)), labels)


def left_out_together(groups: Array) -> Array:
    """Return which part of 20 to 50 each item leaves with, (n,) numbers, no group parted."""
    sizes = np.bincount(groups)
    count = min(len(sizes), max(FEWEST_GROUPS, min(MOST_GROUPS, len(sizes) // GROUP_ITEMS)))
    before = np.cumsum(sizes) - sizes
    # A group that is larger than a part leaves the parts behind it empty.
    _, part = np.unique(before * count // len(groups), return_inverse=True)
    return np.asarray(part[groups])


def listed(table: Array, depth: int) -> Lists:
    """Return the best items of every row of a table."""
    return retrieval.nearest(lambda rows: table[rows.start : rows.stop], len(table), depth)


def combined(parts: Sequence[tuple[float, Gains]]) -> Gains:
    """Return a linear combination of what several tables find."""

    def total(name: str) -> Array | None:
        values = [(share, gains.by_name(name)) for share, gains in parts]
        if any(value is None for _, value in values):
            return None
        return np.asarray(sum(share * value for share, value in values if value is not None))

    recall = total("recall")
    assert recall is not None  # noqa: S101 - every table has a recall
    return Gains(recall, total("ndcg"), total("precision"))
