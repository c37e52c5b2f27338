"""Retrieval of k nearest items: exact lists in blocks of queries, and what is found in them.

Items of equal score are in no order: what is counted is the expectation over all their orders,
so a gallery of equal vectors finds no more than chance, k/n. For nDCG that is the reading of
scikit-learn's `ndcg_score`; McSherry & Najork, *Computing information retrieval performance
measures efficiently in the presence of tied scores*, ECIR 2008.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.numerics.arrays import Array

# Queries scored at a time: a block's scores stay within the processor's reach.
BLOCK_QUERIES = 256
NO_ITEM = -1


@dataclass(frozen=True)
class Lists:
    """The best items of every query, in falling order of score.

    `scores` and `items` are (n_queries, depth): −inf and −1 where a list has ended.
    """

    scores: Array
    items: Array

    def keeping(self, alive: Array) -> Array:
        """Return which places hold an item that is `alive` (n_items,), (n_queries, depth) bool."""
        return np.asarray(alive[self.items] & (self.items != NO_ITEM))


def nearest(
    scores_of: Callable[[range], Array],
    n_queries: int,
    depth: int,
    *,
    block_queries: int = BLOCK_QUERIES,
) -> Lists:
    """Return the items of largest score of every query, equal scores in the order of item numbers.

    `scores_of` returns the (block, n_items) scores of a range of queries, −inf for an item that is
    not to be found, such as the query itself; the array may be overwritten. Lists are longer than
    `depth` where some items tie with the last, so that no tie is cut.
    """
    blocks = []
    for start in range(0, n_queries, block_queries):
        scores = scores_of(range(start, min(start + block_queries, n_queries)))
        blocks.append(_best(scores, depth))
    width = max(block.scores.shape[1] for block in blocks)
    return Lists(
        np.vstack([_padded(block.scores, width, -np.inf) for block in blocks]),
        np.vstack([_padded(block.items, width, NO_ITEM) for block in blocks]),
    )


def _best(scores: Array, depth: int) -> Lists:
    n_items = scores.shape[1]
    if depth < n_items:
        least = np.partition(scores, n_items - depth, axis=1)[:, n_items - depth]
        width = int((scores >= least[:, None]).sum(axis=1).max())
    else:
        width = n_items
    if width < n_items:
        chosen = np.argpartition(scores, n_items - width, axis=1)[:, n_items - width :]
        chosen.sort(axis=1)
    else:
        chosen = np.broadcast_to(np.arange(n_items), scores.shape)
    best = np.take_along_axis(scores, chosen, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    best, chosen = (np.take_along_axis(each, order, axis=1) for each in (best, chosen))
    return Lists(best, np.where(np.isneginf(best), NO_ITEM, chosen).astype(np.int32))


def _padded(array: Array, width: int, value: float) -> Array:
    missing = width - array.shape[1]
    return np.pad(array, ((0, 0), (0, missing)), constant_values=value)


def ranks_in(truth: Lists, lists: Lists, n_items: int) -> Array:
    """Return the place of each listed item in another list of the same query, (n_queries, depth).

    Places begin at 0; `truth` holds the lists to look in, ties in the order of item numbers. An
    item that is not in them, and a place that holds no item, has the depth of `truth`.
    """
    deep = truth.items.shape[1]
    ranks = np.full(lists.items.shape, deep, np.int32)
    for start in range(0, len(ranks), BLOCK_QUERIES):
        rows = slice(start, start + BLOCK_QUERIES)
        known = truth.items[rows]
        # One place more than there are items takes what is no item.
        table = np.full((len(known), n_items + 1), deep, np.int32)
        np.put_along_axis(table, known, np.arange(deep, dtype=np.int32)[None], axis=1)
        table[:, n_items] = deep
        ranks[rows] = np.take_along_axis(table, lists.items[rows], axis=1)
    return ranks


def expected_gain(lists: Lists, relevant: Array, alive: Array, weights: Array) -> Array:
    """Return the expected gain of every query: Σ over places p < k of weights[p] · relevant there.

    `relevant` (n_queries, depth) is bool, or any gain of a listed item; one that is not `alive` is
    passed over. The weights are (k,), what a relevant item counts at each place, or (m, k) for
    several countings at once; the gain is (n_queries,) or (m, n_queries), the mean over all orders
    of items of equal score.
    """
    n, depth = lists.scores.shape
    steps = np.ones((n, depth), bool)
    steps[:, 1:] = lists.scores[:, 1:] < lists.scores[:, :-1]
    first = np.cumsum(steps, axis=1) - 1  # (n, depth) number of the run of equal scores
    place = (np.arange(n)[:, None] * depth + first).ravel()
    size = np.bincount(place, weights=alive.ravel(), minlength=n * depth).reshape(n, depth)
    gains = np.bincount(place, weights=(relevant * alive).ravel(), minlength=n * depth)
    stop = np.minimum(np.cumsum(size, axis=1), weights.shape[-1]).astype(np.int64)
    start = np.zeros_like(stop)
    start[:, 1:] = stop[:, :-1]
    share = gains.reshape(n, depth) / np.maximum(size, 1)
    sums = np.cumsum(np.atleast_2d(weights), axis=1)
    totals = np.pad(sums, ((0, 0), (1, 0)))
    expected = [((total[stop] - total[start]) * share).sum(axis=1) for total in totals]
    return np.array(expected) if weights.ndim > 1 else np.asarray(expected[0])


def recall_weights(k: int, depth: int | None = None, length: int | None = None) -> Array:
    """Return what one of k true neighbours counts at each place: 1/k up to `depth`, then 0.

    `depth` is k when omitted; `length`, the places in all, is `depth` when omitted.
    """
    depth = k if depth is None else depth
    return np.pad(np.full(depth, 1.0 / k), (0, max((length or depth) - depth, 0)))


def dcg_weights(k: int) -> Array:
    """Return the discounts 1/log₂(place + 1) of the first k places, places from 1."""
    return np.asarray(1.0 / np.log2(np.arange(2, k + 2)))


def true_neighbours(truth: Lists, ranks: Array, alive: Array, k: int) -> Array:
    """Return which listed items are among a query's k nearest alive ones, (n_queries, depth) bool.

    `truth` lists the true nearest items, deeper than k by more than are dead of any query's;
    `ranks` (n_queries, depth), from `ranks_in`, are the places of the listed items in it; `alive`
    is (n_items,). Whether a listed item is itself alive does not count.
    """
    alive_up_to = np.cumsum(truth.keeping(alive), axis=1)
    before = np.pad(alive_up_to, ((0, 0), (1, 0)))  # alive ones before each rank
    # The last place is that of an item outside the list.
    before[:, -1] = k
    return np.asarray(np.take_along_axis(before, ranks.astype(np.int64), axis=1) < k)
