import numpy as np
import pytest
from scipy import sparse

from intertwine.similarity.row_bootstrap import (
    correlation_excess,
    correlation_sums,
    ratio_spread,
    row_counts,
    row_estimate,
    sum_over_draws,
)


def test_draws_are_of_as_many_rows_and_fixed_by_the_seed():
    """Every draw takes m rows; the same seed takes the same ones."""
    counts = row_counts(30, 0)
    assert counts.shape == (200, 30)
    assert (counts.sum(axis=1) == 30).all()
    row_counts.cache_clear()
    assert (row_counts(30, 0) == counts).all()
    assert (row_counts(30, 1) != counts).any()


def test_sums_over_draws_are_sums_over_the_rows_drawn():
    """A dense or sparse matrix gives what loops over each draw's rows give, copies left out."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((9, 9))
    np.fill_diagonal(matrix, 0)
    counts = row_counts(9, 0)
    expected = []
    for draw in counts:
        rows = np.repeat(np.arange(9), draw.astype(int))
        expected.append(sum(matrix[i, j] for i in rows for j in rows if i != j))
    assert sum_over_draws(matrix, counts) == pytest.approx(expected)
    assert sum_over_draws(sparse.csr_array(matrix), counts) == pytest.approx(expected)


def test_the_excess_is_that_of_the_pairs_first_order_parts():
    """It is 4 Σ e² with e the derivative of the correlation by a pair's weight."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 6, 6))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    sums = correlation_sums(a[:2], b[:2]) + correlation_sums(a[2:], b[2:])
    derivatives = []
    for place in np.ndindex(6, 6):
        ends = []
        for step in (1e-5, -1e-5):
            weight = np.ones((6, 6))
            weight[place] += step
            own = (weight * a * a).sum() * (weight * b * b).sum()
            ends.append((weight * a * b).sum() / np.sqrt(own))
        derivatives.append((ends[0] - ends[1]) / 2e-5)
    assert correlation_excess(sums) == pytest.approx(4 * np.square(derivatives).sum(), rel=1e-6)
    assert correlation_excess(correlation_sums(a, a)) == pytest.approx(0, abs=1e-12)


def test_the_spread_of_unrelated_pairs_is_that_of_the_pairs():
    """For a mean over pairs of pure noise the corrected variance is that noise's on average."""
    m, ratios = 80, []
    for seed in range(60):
        noise = np.random.default_rng(seed).standard_normal((m, m))
        noise = np.triu(noise, 1) + np.triu(noise, 1).T
        counts = row_counts(m, seed)
        pairs = sum_over_draws(1 - np.eye(m), counts) / (m * (m - 1))
        squares = (noise**2).sum()
        spread = ratio_spread(sum_over_draws(noise, counts), pairs, pairs, 4 * squares)
        ratios.append(spread**2 / (2 * squares))
    assert np.mean(ratios) == pytest.approx(1, abs=0.15)


def test_draws_without_a_ratio_are_left_out():
    """A draw in which a space does not vary adds nothing, and one draw has no spread."""
    numerator, own = np.array([1.0, 3.0, 9.0]), np.array([1.0, 1.0, 0.0])
    assert ratio_spread(numerator, own, np.ones(3), 0.0) == pytest.approx(np.sqrt(2))
    assert ratio_spread(numerator, own, np.ones(3), 5.0) == 0
    assert ratio_spread(numerator, np.array([1.0, 0.0, 0.0]), np.ones(3), 0.0) == 0


def test_intervals_stay_in_the_range_and_are_no_narrower_than_the_null():
    """The wider of spread and null sd makes the interval, cut to the range."""
    wide = row_estimate(0.5, 0.1, 0.0, 0.04, -1.0)
    assert (wide.low, wide.high) == pytest.approx((0.5 - 1.959964 * 0.2, 0.5 + 1.959964 * 0.2))
    narrow = row_estimate(0.5, 0.1, 0.0, 0.0, 0.0)
    assert (narrow.low, narrow.high) == pytest.approx((0.5 - 0.1959964, 0.5 + 0.1959964))
    cut = row_estimate(1 + 1e-15, 0.9, 0.1, 0.0, 0.0)
    assert (cut.low, cut.score, cut.high) == (0, 1, 1)
