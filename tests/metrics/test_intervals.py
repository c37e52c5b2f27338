import numpy as np
import pytest
from scipy.stats import norm

from intertwine.metrics.intervals import paired_change_interval, proportion_interval


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (812, 1200), (1, 50_000)])
def test_proportion_interval_is_wilsons_formula(successes, n):
    """The interval of a proportion is Wilson's closed formula."""
    z, p = norm.ppf(0.975), successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(
        proportion_interval(successes, n), (centre - half, centre + half), rtol=1e-9, atol=1e-12
    )


def bootstrap_of_rows(both, gained, lost, n, draws, seed):
    """Return the interval of a bootstrap that resamples rows one by one."""
    rng = np.random.default_rng(seed)
    before = np.repeat([1, 0, 1, 0], [both, gained, lost, n - both - gained - lost])
    after = np.repeat([1, 1, 0, 0], [both, gained, lost, n - both - gained - lost])
    changes = []
    for _ in range(draws):
        rows = rng.integers(n, size=n)
        if before[rows].sum():
            changes.append(100 * (after[rows].sum() / before[rows].sum() - 1))
    return np.percentile(changes, [2.5, 97.5]), np.std(changes)


@pytest.mark.quick("nothing kept", "few rows")
@pytest.mark.parametrize(
    ("both", "gained", "lost", "n"),
    [(600, 40, 90, 1200), (30, 5, 2, 60), (0, 3, 9, 400), (200, 0, 50, 250), (700, 60, 60, 900)],
    ids=["usual", "few rows", "nothing kept", "no gains", "no change"],
)
def test_the_paired_interval_is_that_of_resampled_rows(both, gained, lost, n):
    """Resampling the 2×2 table gives the interval that resampling the rows gives."""
    expected, deviation = bootstrap_of_rows(both, gained, lost, n, draws=4000, seed=1)
    found = paired_change_interval(both, gained, lost, n)
    # A 2.5 % quantile of 4,000 draws has a deviation of about 0.04 of the spread; ties add a step.
    step = 100 / (both + lost)
    np.testing.assert_allclose(found, expected, atol=0.2 * deviation + step)


@pytest.mark.slow
def test_the_paired_interval_covers_as_often_as_it_says():
    """Of many experiments about 95 % of the intervals hold the true change."""
    rng = np.random.default_rng(0)
    cells = np.array([0.5, 0.05, 0.12, 0.33])
    truth = 100 * (cells[1] - cells[2]) / (cells[0] + cells[2])
    tables = rng.multinomial(800, cells, size=400)
    hits = 0
    for table in tables:
        low, high = paired_change_interval(*table[:3].tolist(), 800)
        hits += low <= truth <= high
    # 380 expected, with a deviation of 4.4.
    assert 362 <= hits <= 397


def test_equal_predictions_leave_no_doubt():
    """Where nothing was gained or lost the interval is exactly zero wide."""
    assert paired_change_interval(50, 0, 0, 80) == (0.0, 0.0)


def test_the_interval_is_reproducible_and_seeded():
    """The same counts give the same interval; the seed changes it a little."""
    first = paired_change_interval(300, 20, 40, 500)
    assert first == paired_change_interval(300, 20, 40, 500)
    other = paired_change_interval(300, 20, 40, 500, seed=1)
    assert other != first
    np.testing.assert_allclose(other, first, atol=0.5)


def test_no_row_right_before_leaves_the_change_undefined():
    """Without a row that was right before there is no percent change."""
    assert paired_change_interval(0, 7, 0, 20) is None


def test_all_rows_of_one_kind():
    """A single row, or rows all alike, give an interval and no warning."""
    assert paired_change_interval(1, 0, 0, 1) == (0.0, 0.0)
    assert paired_change_interval(0, 0, 9, 9) == (-100.0, -100.0)
