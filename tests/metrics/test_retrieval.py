from itertools import permutations

import numpy as np
import pytest

from intertwine.metrics.retrieval import (
    Lists,
    dcg_weights,
    expected_gain,
    nearest,
    ranks_in,
    recall_weights,
    true_neighbours,
)

N = 40


def scores_of(seed, levels=None, n=N):
    """Return a table of scores, with few levels many of them tied, and no item its own answer."""
    scores = np.random.default_rng(seed).standard_normal((n, n))
    if levels:
        scores = np.round(scores * levels)
    np.fill_diagonal(scores, -np.inf)
    return scores


def listed(scores, depth, block_queries=7):
    """Return the lists of a table of scores."""
    return nearest(
        lambda rows: scores[rows.start : rows.stop].copy(),
        len(scores),
        depth,
        block_queries=block_queries,
    )


def naive_gain(scores, relevant, weights):
    """Return the expected gain of one query from the chance of each item to stand at each place."""
    total = 0.0
    for score, gain in zip(scores, relevant, strict=True):
        above, equal = int((scores > score).sum()), int((scores == score).sum())
        places = [place for place in range(above, above + equal) if place < len(weights)]
        total += gain * sum(weights[place] for place in places) / equal
    return total


@pytest.mark.parametrize("depth", [1, 10, N - 1, N])
@pytest.mark.parametrize("block_queries", [1, 7, 100])
def test_the_lists_are_those_of_a_full_sort(depth, block_queries):
    """Without ties the lists are the first items of a sorted row, whatever the blocks."""
    scores = scores_of(0)
    found = listed(scores, depth, block_queries)
    order = np.argsort(-scores, axis=1)[:, :depth]
    kept = min(depth, N - 1)
    np.testing.assert_array_equal(found.items[:, :kept], order[:, :kept])
    np.testing.assert_array_equal(
        found.scores[:, :kept], np.take_along_axis(scores, order, axis=1)[:, :kept]
    )
    assert (found.items[:, kept:] == -1).all()


def test_no_tie_is_cut():
    """A list goes on until all items tied with its last one are in it."""
    scores = scores_of(1, levels=1)
    found = listed(scores, 5)
    for row, items in zip(scores, found.items, strict=True):
        least = np.sort(row)[-5]
        assert set(np.flatnonzero(row >= least)) <= set(items.tolist())


def test_ties_stand_in_the_order_of_items():
    """Equal scores are listed by the number of the item, so that a list is one and the same."""
    found = listed(np.zeros((3, 6)), 2)
    np.testing.assert_array_equal(found.items, np.tile(np.arange(6), (3, 1)))


@pytest.mark.quick("1-1", "5-2", "10-2")
@pytest.mark.parametrize("levels", [None, 2, 1])
@pytest.mark.parametrize("k", [1, 5, 10])
def test_gains_are_those_of_a_plain_loop(levels, k):
    """Recall, precision and DCG are the expectation over the places that each item may stand at."""
    scores, rng = scores_of(2, levels), np.random.default_rng(3)
    relevant = rng.random((N, N)) < 0.3
    found = listed(scores, k)
    alive = found.keeping(np.ones(N, bool))
    given = np.take_along_axis(relevant, found.items, axis=1)
    for weights in (recall_weights(k), dcg_weights(k)):
        expected = [naive_gain(*row, weights) for row in zip(scores, relevant, strict=True)]
        np.testing.assert_allclose(
            expected_gain(found, given, alive, weights), expected, atol=1e-12
        )


def test_the_expectation_is_the_mean_over_all_orders():
    """With every order of tied items written out, the mean gain is the expected one."""
    scores, relevant = np.array([[3.0, 2.0, 2.0, 2.0, 1.0]]), np.array([0, 1, 0, 1, 1])
    weights = dcg_weights(3)
    gains = [
        sum(weights[place] * relevant[item] for place, item in enumerate([0, *middle][:3]))
        for middle in permutations([1, 2, 3])
    ]
    found = listed(scores, 3)
    alive = found.keeping(np.ones(5, bool))
    got = expected_gain(found, relevant[found.items], alive, weights)
    np.testing.assert_allclose(got, np.mean(gains), atol=1e-14)


@pytest.mark.parametrize("levels", [None, 2])
def test_ndcg_is_that_of_scikit_learn(levels):
    """DCG over that of the best order equals `ndcg_score`, which averages over ties too."""
    from sklearn.metrics import ndcg_score

    k, rng = 10, np.random.default_rng(4)
    labels = rng.integers(0, 4, N)
    scores = scores_of(5, levels)
    found = listed(scores, k)
    alive = found.keeping(np.ones(N, bool))
    same = labels[found.items] == labels[:, None]
    ideal = np.array([dcg_weights(k)[: (labels == label).sum() - 1].sum() for label in labels])
    got = expected_gain(found, same, alive, dcg_weights(k)) / ideal
    for query in range(N):
        others = np.arange(N) != query
        truth = (labels[others] == labels[query]).astype(float)
        expected = ndcg_score([truth], [scores[query, others]], k=k)
        assert got[query] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", [None, 2])
def test_leaving_items_out_is_never_having_had_them(levels):
    """Recall without some items equals recall searched anew among the others."""
    k, rng = 5, np.random.default_rng(6)
    truth_scores, scores = scores_of(7), scores_of(8, levels)
    alive = rng.random(N) < 0.85
    truth, found = listed(truth_scores, 20), listed(scores, 20)
    ranks = ranks_in(truth, found, N)
    relevant = true_neighbours(truth, ranks, alive, k)
    got = expected_gain(found, relevant, found.keeping(alive), recall_weights(k))
    for query in range(N):
        row = np.where(alive, truth_scores[query], -np.inf)
        wanted = np.isin(np.arange(N), np.argsort(-row)[:k])
        expected = naive_gain(scores[query][alive], wanted[alive], recall_weights(k))
        assert got[query] == pytest.approx(expected, abs=1e-12)


def test_equal_vectors_find_what_chance_finds():
    """A gallery whose items all score alike has recall k/(n − 1)."""
    k, flat = 10, np.zeros((N, N))
    np.fill_diagonal(flat, -np.inf)
    truth, found = listed(scores_of(9), k), listed(flat, k)
    everybody = np.ones(N, bool)
    relevant = true_neighbours(truth, ranks_in(truth, found, N), everybody, k)
    got = expected_gain(found, relevant, found.keeping(everybody), recall_weights(k))
    np.testing.assert_allclose(got, k / (N - 1), atol=1e-12)


def test_a_deeper_search_counts_each_neighbour_once():
    """Recall of k neighbours among the first places of a deeper list is the share that is there."""
    k, depth = 5, 15
    truth, found = listed(scores_of(10), k), listed(scores_of(11), depth)
    everybody = np.ones(N, bool)
    relevant = true_neighbours(truth, ranks_in(truth, found, N), everybody, k)
    got = expected_gain(found, relevant, found.keeping(everybody), recall_weights(k, depth))
    for query in range(N):
        both = set(truth.items[query, :k].tolist()) & set(found.items[query, :depth].tolist())
        assert got[query] == pytest.approx(len(both) / k)


def test_ranks_are_places_in_the_other_list():
    """An item's rank is where it stands in the other list, and that list's depth where it does not."""
    truth = Lists(np.array([[3.0, 2.0, -np.inf]]), np.array([[4, 1, -1]]))
    lists = Lists(np.array([[9.0, 8.0, 7.0, -np.inf]]), np.array([[1, 0, 4, -1]]))
    np.testing.assert_array_equal(ranks_in(truth, lists, 5), [[1, 3, 0, 3]])


def test_several_countings_are_each_alone():
    """Weights for several depths at once give what each gives alone."""
    k, depths = 5, (5, 8, 20)
    truth, found = listed(scores_of(12), k), listed(scores_of(13, levels=2), 20)
    everybody = np.ones(N, bool)
    kept = found.keeping(everybody)
    relevant = true_neighbours(truth, ranks_in(truth, found, N), everybody, k)
    together = np.array([recall_weights(k, depth, 20) for depth in depths])
    got = expected_gain(found, relevant, kept, together)
    for gain, depth in zip(got, depths, strict=True):
        expected = expected_gain(found, relevant, kept, recall_weights(k, depth))
        np.testing.assert_allclose(gain, expected, atol=1e-14)
