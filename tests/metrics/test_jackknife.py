import numpy as np
import pytest
from scipy.stats import norm, t

from intertwine.metrics.intervals import jackknife_error, t_factor


def busing(score, without, sizes) -> float:
    """Return the standard error by equation 8 of Busing et al. (1999), a term at a time."""
    n, g = sum(sizes), len(sizes)
    ratios = [n / m for m in sizes]
    centre = g * score - sum((1 - m / n) * x for m, x in zip(sizes, without, strict=True))
    variance = 0.0
    for h, x in zip(ratios, without, strict=True):
        variance += (h * score - (h - 1) * x - centre) ** 2 / (h - 1)
    return (variance / g) ** 0.5


def without_groups(rows, sizes, score):
    """Return the score without each of consecutive groups of these sizes."""
    ends = np.cumsum(sizes)
    return np.array(
        [score(np.delete(rows, np.s_[end - m : end])) for m, end in zip(sizes, ends, strict=True)]
    )


def test_leaving_out_single_rows_gives_the_error_of_the_mean():
    """For the mean, with groups of one row, the error is s/√n exactly."""
    rows = np.random.default_rng(0).standard_exponential(37)
    sizes = np.ones(37)
    without = without_groups(rows, [1] * 37, np.mean)
    expected = rows.std(ddof=1) / np.sqrt(37)
    assert jackknife_error(rows.mean(), without, sizes) == pytest.approx(expected, rel=1e-12)


def test_equal_groups_have_the_usual_formula():
    """With groups of one size the variance is (g − 1)/g Σ (θ_j − their mean)²."""
    rows = np.random.default_rng(1).standard_exponential(60)
    without = without_groups(rows, [5] * 12, np.median)
    expected = np.sqrt(11 / 12 * ((without - without.mean()) ** 2).sum())
    got = jackknife_error(np.median(rows), without, np.full(12, 5))
    assert got == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("sizes", [[1, 2, 3, 4], [10, 10, 11, 11, 11], [1, 50, 3, 7, 20, 2]])
@pytest.mark.parametrize("score", [np.mean, np.std, np.median])
def test_unequal_groups_have_the_published_formula(sizes, score):
    """Groups of different sizes weigh as in the paper's equation."""
    rows = np.random.default_rng(sizes).standard_exponential(sum(sizes))
    without = without_groups(rows, sizes, score)
    expected = busing(score(rows), without, sizes)
    got = jackknife_error(score(rows), without, np.array(sizes))
    assert got == pytest.approx(expected, rel=1e-10)


def test_scale_and_shift_of_the_score():
    """The error scales with the score, ignores a shift, and is 0 where no group matters."""
    rng = np.random.default_rng(2)
    without, sizes = rng.standard_normal(20), rng.integers(5, 9, 20)
    error = jackknife_error(0.1, without, sizes)
    assert jackknife_error(-0.3 + 7, -3 * without + 7, sizes) == pytest.approx(3 * error)
    assert jackknife_error(0.4, np.full(20, 0.4), sizes) == pytest.approx(0, abs=1e-15)


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """Over many samples in 20 groups about 95 % of the intervals hold the true mean."""
    rng = np.random.default_rng(3)
    sizes, hits = [10] * 10 + [11] * 10, 0
    for _ in range(400):
        rows = rng.standard_normal(210)
        error = jackknife_error(rows.mean(), without_groups(rows, sizes, np.mean), np.array(sizes))
        hits += abs(rows.mean()) <= t_factor(20) * error
    assert abs(hits / 400 - 0.95) < 0.035


def test_the_factor_is_students():
    """With 20 groups it is 2.093, SciPy's quantile for any number, and near 1.96 for many."""
    assert t_factor(20) == pytest.approx(2.093, abs=1e-3)
    for g in (2, 3, 50):
        assert t_factor(g) == pytest.approx(t(g - 1).isf(0.025))
    assert t_factor(100_000) == pytest.approx(norm.ppf(0.975), rel=1e-4)
