import numpy as np
import pytest

from intertwine.estimators import soft_matches
from intertwine.estimators.soft_matches import match, nearest, ranks
from intertwine.numerics.linalg import unit


@pytest.mark.parametrize(
    ("n", "m", "count"), [(7, 5, 10), (40, 2000, 10), (300, 1300, 3), (1, 1, 1)]
)
def test_nearest_is_brute_force(n, m, count):
    """The nearest keys of each query are those of a full sort, in its order."""
    rng = np.random.default_rng(n)
    queries, keys = rng.standard_normal((n, 6)), rng.standard_normal((m, 6))
    rows, columns, scores = nearest(queries, keys, count)
    dense = queries @ keys.T
    best = np.argsort(-dense, axis=1)[:, :count]
    assert np.array_equal(rows, np.repeat(np.arange(n), best.shape[1]))
    assert np.array_equal(columns, best.ravel())
    np.testing.assert_allclose(scores, np.take_along_axis(dense, best, 1).ravel(), rtol=1e-12)


def test_equal_keys_are_taken_in_their_order():
    """Of keys that score the same, the first count."""
    keys = np.repeat(np.eye(3), 500, axis=0)
    _, columns, scores = nearest(np.eye(3), keys, 4)
    assert columns.tolist() == [0, 1, 2, 3, 500, 501, 502, 503, 1000, 1001, 1002, 1003]
    assert (scores == 1).all()


@pytest.mark.parametrize("block", [1, 5000, 10**7])
def test_blocks_change_nothing(monkeypatch, block):
    """How many rows are compared at a time does not matter."""
    rng = np.random.default_rng(3)
    queries, keys = rng.standard_normal((50, 8)), rng.standard_normal((900, 8))
    expected = nearest(queries, keys, 10)
    monkeypatch.setattr(soft_matches, "BLOCK_SCORES", block)
    for one, other in zip(expected, nearest(queries, keys, 10), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def dense_csls(a, b, count):
    """Return 2⟨a, b⟩ − r_a − r_b of every pair of rows, by definition."""
    cosine = a @ b.T
    near_a = np.sort(cosine, axis=1)[:, -count:].mean(axis=1)
    near_b = np.sort(cosine, axis=0)[-count:].mean(axis=0)
    return 2 * cosine - near_a[:, None] - near_b


@pytest.mark.parametrize(("n", "m"), [(10, 10), (9, 4), (3, 8)])
def test_probabilities_are_their_definition(n, m):
    """With few rows p is the product of two full softmaxes of CSLS over its temperature."""
    rng = np.random.default_rng(n * m)
    a, b = unit(rng.standard_normal((n, 5))), unit(rng.standard_normal((m, 5)))
    scores = dense_csls(a, b, 10) / (0.9 * (a @ b.T).std())
    powers = np.exp(scores)
    expected = powers / powers.sum(axis=1, keepdims=True) * (powers / powers.sum(axis=0))
    np.testing.assert_allclose(match(a, b).sparse().toarray(), expected, rtol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_cold_matches_are_mutual_neighbours(monkeypatch, seed):
    """At a low temperature the confident matches are the mutual nearest neighbours under CSLS."""
    monkeypatch.setattr(soft_matches, "TEMPERATURE", 1e-3)
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((60, 12))
    b = np.concatenate(
        [a[:40] + 0.7 * rng.standard_normal((40, 12)), rng.standard_normal((30, 12))]
    )
    a, b = unit(a), unit(b)
    scores = dense_csls(a, b, 10)
    first, back = scores.argmax(axis=1), scores.argmax(axis=0)
    mutual = {(i, j) for i, j in enumerate(first) if back[j] == i}
    found = set(zip(*(rows.tolist() for rows in match(a, b).confident()), strict=True))
    assert len(mutual) > 30
    # Scores within the temperature of each other are no clear choice.
    assert found <= mutual
    assert len(mutual - found) <= 2


def test_ranks_count_equal_scores_against_the_own_row(monkeypatch):
    """A rank is one more than the others that score as much or more."""
    queries, own = np.eye(2), np.array([[0.5, 0], [0, 2.0]])
    others = np.array([[0.5, 3.0], [1.0, 0.0], [0.2, 2.0]])
    assert ranks(queries, own, others).tolist() == [3, 3]
    monkeypatch.setattr(soft_matches, "BLOCK_SCORES", 1)
    assert ranks(queries, own, others).tolist() == [3, 3]
