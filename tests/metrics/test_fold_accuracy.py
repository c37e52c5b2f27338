import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faces import naive_threshold

from intertwine.metrics.fold_accuracy import best_threshold, fold_accuracy, weighted_means


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5]) | st.floats(-1, 1), st.booleans()),
        min_size=2,
        max_size=30,
    )
)
def test_the_threshold_is_that_of_the_rule(pairs):
    """The threshold equals a loop over all midpoints, the highest of the best, ties and all."""
    scores, same = (np.array(column) for column in zip(*pairs, strict=True))
    assert best_threshold(scores, same) == naive_threshold(scores, same)


def test_neighbouring_floats():
    """A midpoint that rounds to the upper score accepts what is above it, and no more."""
    low = 0.3
    high = np.nextafter(low, 1)
    found = best_threshold(np.array([low, high]), np.array([False, True]))
    assert low <= found <= high


@pytest.mark.parametrize("tabled", [False, True])
def test_folds_against_a_loop(tabled):
    """Every fold is decided by the threshold of the others, in its own row of scores."""
    rng = np.random.default_rng(0)
    fold = rng.permutation(np.repeat(np.arange(3), 20))
    same = rng.random(60) < 0.5
    table = rng.standard_normal((3, 60)) + same
    scores = table if tabled else table[0]
    found = fold_accuracy(scores, same, fold)
    for k in range(3):
        row = table[k] if tabled else table[0]
        threshold = naive_threshold(row[fold != k], same[fold != k])
        assert found.thresholds[k] == threshold
        right = (row[fold == k] > threshold) == same[fold == k]
        assert found.accuracies[k] == right.mean()
        np.testing.assert_array_equal(found.correct[fold == k], right)
        np.testing.assert_array_equal(found.scores[fold == k], row[fold == k])
    assert found.mean == pytest.approx(np.mean(found.accuracies))
    assert found.std == pytest.approx(np.std(found.accuracies, ddof=0))


def test_the_test_fold_does_not_move_its_threshold():
    """Changing a fold's scores leaves the threshold that decides it."""
    rng = np.random.default_rng(1)
    fold, same = np.repeat(np.arange(2), 10), np.tile([True, False], 10)
    scores = rng.standard_normal(20)
    before = fold_accuracy(scores, same, fold).thresholds
    after = fold_accuracy(scores + 5 * (fold == 1), same, fold).thresholds
    assert after[1] == before[1]
    assert after[0] != before[0]


def test_weights_against_a_loop():
    """Weighted accuracy is the mean over folds of the weighted share, empty folds left out."""
    rng = np.random.default_rng(2)
    fold, correct = rng.integers(3, size=40), rng.random(40) < 0.7
    weights = rng.integers(3, size=(5, 40)).astype(float)
    weights[3, fold == 1] = 0
    weights[4] = 0
    found = weighted_means(correct, fold, weights)
    for row, value in zip(weights[:4], found, strict=False):
        shares = [
            np.average(correct[fold == k], weights=row[fold == k])
            for k in range(3)
            if row[fold == k].sum()
        ]
        assert value == pytest.approx(np.mean(shares))
    assert np.isnan(found[4])
