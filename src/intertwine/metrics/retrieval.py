"""Retrieval of k nearest items: exact lists in blocks of queries, and what is found in them.

Items of equal score stand in no order: what is counted is the expectation over all their orders,
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

    Parameters
    ----------
    scores
        (n_queries, depth), −inf where a list has ended.
    items
        (n_queries, depth) numbers of the items, −1 where a list has ended.
    """

    scores: Array
    items: Array

    def keeping(self, alive: Array) -> Array:
        """Return which places hold an item that is still there, (n_queries, depth) bool.

        Parameters
        ----------
        alive
            (n_items,) bool.
        """
        return np.asarray(alive[self.items] & (self.items != NO_ITEM))


def nearest(
    scores_of: Callable[[range], Array],
    n_queries: int,
    depth: int,
    *,
    block_queries: int = BLOCK_QUERIES,
) -> Lists:
    """Return the items of largest score of every query.

    Parameters
    ----------
    scores_of
        Returns the (block, n_items) scores of a range of queries, −inf for an item that is not to
        be found, such as the query itself. The array is the caller's to lose.
    n_queries
        Number of queries.
    depth
        Items a query. Lists are longer where some are tied with the last, so that no tie is cut.
    block_queries
        Queries at a time.

    Returns
    -------
    lists
        Items of equal score in the order of their numbers.
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
    found = np.take_along_axis(scores, chosen, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    found, chosen = (np.take_along_axis(each, order, axis=1) for each in (found, chosen))
    return Lists(found, np.where(np.isneginf(found), NO_ITEM, chosen).astype(np.int32))


def _padded(array: Array, width: int, value: float) -> Array:
    missing = width - array.shape[1]
    return np.pad(array, ((0, 0), (0, missing)), constant_values=value)


def ranks_in(truth: Lists, lists: Lists, n_items: int) -> Array:
    """Return where each listed item stands in another list of the same query.

    Parameters
    ----------
    truth
        The lists to look in; ties stand in the order of item numbers.
    lists
        The lists whose items are looked for.
    n_items
        Number of items.

    Returns
    -------
    ranks
        (n_queries, depth of `lists`) from 0; the depth of `truth` for an item that is not there.
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

    Parameters
    ----------
    lists
        What was found.
    relevant
        (n_queries, depth) bool, or any gain of a listed item.
    alive
        (n_queries, depth) bool; an item that is not alive is passed over.
    weights
        (k,) what a relevant item counts at each place, or (m, k) for several countings at once.

    Returns
    -------
    gain
        (n_queries,) or (m, n_queries), the mean over all orders of items of equal score.
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
    found = [((total[stop] - total[start]) * share).sum(axis=1) for total in totals]
    return np.array(found) if weights.ndim > 1 else np.asarray(found[0])


def recall_weights(k: int, depth: int | None = None, length: int | None = None) -> Array:
    """Return what one of k true neighbours counts at each place.

    Parameters
    ----------
    k
        Neighbours.
    depth
        Places that count; k when omitted.
    length
        Places in all, those after `depth` counting nothing; no more when omitted.
    """
    depth = k if depth is None else depth
    return np.pad(np.full(depth, 1.0 / k), (0, max((length or depth) - depth, 0)))


def dcg_weights(k: int) -> Array:
    """Return the discounts 1/log₂(place + 1) of the first k places, places from 1."""
    return np.asarray(1.0 / np.log2(np.arange(2, k + 2)))


def true_neighbours(truth: Lists, ranks: Array, alive: Array, k: int) -> Array:
    """Return which listed items are among a query's k nearest that are still there.

    Parameters
    ----------
    truth
        Lists of nearest items by the truth, deeper than k by more than are gone of any.
    ranks
        (n_queries, depth) where listed items stand in `truth`, from `ranks_in`.
    alive
        (n_items,) bool.
    k
        Neighbours.

    Returns
    -------
    relevant
        (n_queries, depth) bool, whether or not a listed item is itself alive.
    """
    kept = np.cumsum(truth.keeping(alive), axis=1)
    before = np.pad(kept, ((0, 0), (1, 0)))  # alive ones before each rank
    # The last place is that of an item outside the list.
    before[:, -1] = k
    return np.asarray(np.take_along_axis(before, ranks.astype(np.int64), axis=1) < k)
