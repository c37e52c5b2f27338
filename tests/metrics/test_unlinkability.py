import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from intertwine.errors import InputError
from intertwine.metrics.unlinkability import chance, d_sys, d_sys_of_scores, n_bins


def naive(mated, non_mated):
    """Return D_sys of histograms a bin at a time, by the likelihood ratio."""
    total = 0.0
    for m, n in zip(mated, non_mated, strict=True):
        p, q = m / sum(mated), n / sum(non_mated)
        if p == 0:
            continue
        ratio = np.inf if q == 0 else p / q
        local = 1.0 if np.isinf(ratio) else 2 * ratio / (1 + ratio) - 1 if ratio > 1 else 0.0
        total += p * local
    return total


def test_histograms_give_the_published_sum():
    """D_sys is the mean over mated scores of the local measure, for any number of histograms."""
    rng = np.random.default_rng(0)
    mated, non_mated = rng.integers(0, 9, (20, 15)), rng.integers(0, 9, (20, 15))
    expected = [naive(m, n) for m, n in zip(mated, non_mated, strict=True)]
    np.testing.assert_allclose(d_sys(mated, non_mated), expected, atol=1e-14)


def test_separate_scores_are_fully_linkable_and_equal_ones_are_not():
    """Histograms that share no bin give 1, proportional ones 0."""
    assert float(d_sys(np.array([0, 0, 5]), np.array([7, 2, 0]))) == 1.0
    assert float(d_sys(np.array([1, 2, 3]), np.array([10, 20, 30]))) == 0.0


@pytest.mark.quick("1.0")
@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_many_scores_reach_the_integral(shift):
    """For two normal distributions, histograms come to the integral over the densities."""
    p, q = norm(shift, 1).pdf, norm(0, 1).pdf
    expected = quad(lambda s: p(s) * max(p(s) - q(s), 0) / (p(s) + q(s)), -8, 12, limit=200)[0]
    rng = np.random.default_rng(1)
    got = d_sys_of_scores(rng.standard_normal(200_000) + shift, rng.standard_normal(400_000))
    assert got == pytest.approx(expected, abs=0.01)


def test_chance_is_what_relabelled_scores_give():
    """Permuted histograms give D_sys as permuting the scores themselves does."""
    rng = np.random.default_rng(2)
    scores = np.concatenate([rng.standard_normal(300) + 1, rng.standard_normal(900)])
    edges = np.linspace(-5, 6, 31)
    drawn = []
    for _ in range(300):
        rng.shuffle(scores)
        parts = (np.histogram(part, edges)[0] for part in (scores[:300], scores[300:]))
        drawn.append(float(d_sys(*parts)))
    mated, rest = np.histogram(scores[:300], edges)[0], np.histogram(scores[300:], edges)[0]
    got = chance(mated, rest, n=300, seed=3)
    assert got.mean() == pytest.approx(np.mean(drawn), rel=0.05)
    assert np.quantile(got, 0.975) == pytest.approx(np.quantile(drawn, 0.975), rel=0.1)


def test_unrelated_scores_stand_within_chance():
    """Mated scores that are drawn like the others give what chance gives, which is above 0."""
    rng = np.random.default_rng(4)
    edges = np.linspace(-4, 4, 41)
    counts = [np.histogram(rng.standard_normal(n), edges)[0] for n in (400, 4000)]
    low, high = np.quantile(chance(*counts), [0.005, 0.995])
    assert 0 < low <= float(d_sys(*counts)) <= high


def test_bins_grow_with_the_mated_scores():
    """There is a bin for ten mated scores, never fewer than 2 nor more than 100."""
    assert [n_bins(n) for n in (0, 5, 40, 999, 5000)] == [2, 2, 4, 99, 100]


def test_without_scores_of_one_kind_nothing_is_defined():
    """An empty histogram has no D_sys and no chance, and leaves the others theirs."""
    mated, non_mated = np.array([[1, 0], [0, 0], [2, 2]]), np.array([[0, 1], [3, 4], [0, 0]])
    np.testing.assert_array_equal(d_sys(mated, non_mated), [1.0])
    assert d_sys(mated[1], non_mated[1]).shape == (0,)
    assert chance(mated[1], non_mated[1]).shape == (0,)
    assert d_sys_of_scores(np.empty(0), np.ones(3)) is None


def test_weights_cannot_be_permuted():
    """Counts that are not whole numbers are refused."""
    with pytest.raises(InputError, match="expected whole counts"):
        chance(np.array([0.5, 1]), np.array([1.0, 2]))
