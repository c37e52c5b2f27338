import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from intertwine.metrics.rank_correlation import network_correlation, spearman

RNG = np.random.default_rng(0)


def maps_of(names, numbers):
    """Return (source, number) of every ordered pair."""
    pairs = list(itertools.permutations(names, 2))
    return [(a, float(x)) for (a, _), x in zip(pairs, numbers, strict=True)]


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_is_scipys(ties):
    """ρ is SciPy's, ties included."""
    x, y = RNG.standard_normal((2, 30))
    if ties:
        x, y = np.round(x), np.round(y)
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize(("x", "y"), [([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5])])
def test_a_constant_side_has_no_correlation(x, y):
    """ρ is undefined where one side is constant."""
    assert spearman(x, y) is None
    values = dict(zip("abc", x, strict=True))
    assert network_correlation(values, list(zip("abc", y, strict=True))) is None


@pytest.mark.parametrize("n", [3, 4, 5])
def test_p_is_the_share_of_network_permutations(n):
    """The p value counts the permutations of the networks' values that correlate as much, all of them."""
    names = [f"net{i}" for i in range(n)]
    values = dict(zip(names, RNG.uniform(0.6, 0.8, n).tolist(), strict=True))
    numbers = [values[a] * 3 + RNG.normal(0, 0.2) for a, _ in itertools.permutations(names, 2)]
    rows = maps_of(names, numbers)
    observed, p = network_correlation(values, rows)
    y = [number for _, number in rows]
    assert observed == pytest.approx(spearmanr([values[a] for a, _ in rows], y).statistic)
    extreme = 0
    orders = list(itertools.permutations(values.values()))
    for order in orders:
        moved = dict(zip(names, order, strict=True))
        rho = spearmanr([moved[a] for a, _ in rows], y).statistic
        extreme += abs(rho) >= abs(observed) - 1e-9
    assert p == pytest.approx(extreme / len(orders))
    assert p >= 1 / len(orders)


def test_many_networks_are_permuted_at_random():
    """Beyond seven networks p is estimated from random permutations and agrees with its truth."""
    names = [f"net{i}" for i in range(8)]
    values = {a: float(i) for i, a in enumerate(names)}
    # One map a network: p is then that of Spearman's exact null, of which SciPy draws its own.
    numbers = [0.0, 2.0, 1.0, 4.0, 3.0, 7.0, 5.0, 6.0]
    observed, p = network_correlation(values, list(zip(names, numbers, strict=True)))
    assert observed == pytest.approx(spearmanr(list(values.values()), numbers).statistic)
    ranks = np.array(list(itertools.permutations(range(8))))
    distances = ((ranks - np.arange(8)) ** 2).sum(axis=1)
    exact = (np.abs(1 - 6 * distances / (8 * 63)) >= abs(observed) - 1e-9).mean()
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact / 10_000) + 1e-4)
    again = network_correlation(values, list(zip(names, numbers, strict=True)))
    assert again == (observed, p)


def test_p_is_never_zero():
    """The order observed is one of the permutations, so p is at least one in all of them."""
    names = [f"net{i}" for i in range(12)]
    values = {a: float(i) for i, a in enumerate(names)}
    rows = maps_of(names, [values[a] for a, _ in itertools.permutations(names, 2)])
    observed, p = network_correlation(values, rows)
    assert observed == pytest.approx(1.0)
    assert 1 / 10_000 <= p < 0.001


def test_unrelated_values_give_uniform_p():
    """Under the null p falls below one in ten about one time in ten, maps of one network alike."""
    rng = np.random.default_rng(3)
    names = [f"net{i}" for i in range(5)]
    hits = 0
    for _ in range(60):
        values = dict(zip(names, rng.permutation(5).astype(float).tolist(), strict=True))
        own = dict(zip(names, rng.standard_normal(5), strict=True))
        rows = maps_of(
            names, [own[a] + 0.01 * rng.standard_normal() for a, _ in maps_of(names, range(20))]
        )
        hits += network_correlation(values, rows)[1] <= 0.1
    # 6 expected, with a deviation of 2.3; a test that permuted maps would give about 30.
    assert hits <= 15
