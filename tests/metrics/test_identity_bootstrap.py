import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.metrics.intervals import (
    bootstrap_interval,
    pair_weights,
    people_counts,
)
from intertwine.metrics.verification import auc


def test_a_draw_has_as_many_people_as_there_are():
    """Counts are whole numbers that sum to the number of people, each once on average."""
    counts = people_counts(50, 2000, seed=1)
    assert counts.shape == (2000, 50)
    assert (counts.sum(axis=1) == 50).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.15)
    np.testing.assert_allclose(counts.var(axis=0), 49 / 50, atol=0.2)


def test_weights_are_counts_of_people_and_their_products():
    """A matched pair weighs its person's count, a mismatched one the product of two."""
    first = np.array([7, 7, 3, 9, 3])
    second = np.array([7, 3, 3, 7, 9])
    counts = dict(zip([3, 7, 9], people_counts(3, 20, seed=4).T, strict=True))
    expected = [
        counts[a] if a == b else counts[a] * counts[b] for a, b in zip(first, second, strict=True)
    ]
    got = pair_weights(first, second, n_replicates=20, seed=4)
    np.testing.assert_array_equal(got, np.stack(expected, axis=1))


def test_the_same_as_writing_the_drawn_people_out():
    """AUC with these weights is AUC over every copy of every drawn person's pairs."""
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 6, (2, 60))
    scores, same = rng.standard_normal(60), first == second
    for weights in pair_weights(first, second, n_replicates=5, seed=3):
        written_out = np.repeat(np.arange(60), weights.astype(int))
        assert auc(scores, same, weights) == pytest.approx(
            auc(scores[written_out], same[written_out]), abs=1e-12
        )


def test_pairs_of_one_person_move_together():
    """Resampling people is wider than resampling pairs when a person's pairs are alike."""
    people = np.repeat(np.arange(30), 20)
    per_person = np.random.default_rng(5).standard_normal(30)[people]
    weights = pair_weights(people, people, n_replicates=2000)
    means = weights @ per_person / weights.sum(axis=1)
    assert means.std() == pytest.approx(per_person.std() / np.sqrt(30), rel=0.1)


def test_an_interval_needs_half_of_the_replicates():
    """The interval is the middle 95 % of the draws, none where most replicates are undefined."""
    draws = np.arange(1001.0)
    assert bootstrap_interval(draws, 1001) == pytest.approx((25.0, 975.0))
    assert bootstrap_interval(draws, 2003) is None
    assert bootstrap_interval(np.empty(0), 0) is None


def test_bad_arguments_are_named():
    """Sides of different lengths, no pair and no replicate are refused."""
    with pytest.raises(InputError, match=r"got people \(2,\) and \(3,\)"):
        pair_weights(np.arange(2), np.arange(3))
    with pytest.raises(InputError, match="got 0 people and 1000 replicates"):
        pair_weights(np.empty(0), np.empty(0))
    with pytest.raises(InputError, match="got 3 people and 0 replicates"):
        people_counts(3, 0)
