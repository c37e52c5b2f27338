import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from intertwine.metrics import rank_correlation as module
from intertwine.metrics.rank_correlation import matrix_correlation, network_correlation, spearman

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


# -- ordered pairs of networks ----------------------------------------------------------------------


def matrices(n: int, seed: int = 0):
    """Return two related (n, n) matrices that are not symmetric, their diagonals undefined."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, n))
    y = x + rng.standard_normal((n, n))
    for matrix in (x, y):
        np.fill_diagonal(matrix, np.nan)
    return x, y


@pytest.mark.quick("3-4")
@pytest.mark.parametrize("n", [4, 6])
@pytest.mark.parametrize("holes", [0, 3])
def test_matrix_correlation_is_scipys_over_pairs(n, holes):
    """ρ is SciPy's over the ordered pairs that have both numbers, within its interval."""
    x, y = matrices(n)
    x.flat[1 : 1 + holes] = np.nan
    got = matrix_correlation(x, y)
    known = np.isfinite(x) & np.isfinite(y)
    assert got["spearman"] == pytest.approx(spearmanr(x[known], y[known]).statistic, abs=1e-12)
    assert got["n_pairs"] == known.sum()
    assert got["n_networks"] == n
    assert -1 <= got["ci_low"] <= got["spearman"] <= got["ci_high"] <= 1
    assert got["reason"] is None


def test_diagonals_and_absent_networks_do_not_count(monkeypatch):
    """A space with itself tells nothing, and a network without any number is left out."""
    monkeypatch.setattr(module, "BOOTSTRAP_DRAWS", 100)
    x, y = matrices(5)
    expected = matrix_correlation(x, y)
    padded = [np.pad(matrix, (0, 1), constant_values=np.nan) for matrix in (x, y)]
    for matrix in padded:
        np.fill_diagonal(matrix, RNG.standard_normal(6) * 100)
    assert matrix_correlation(*padded) == expected


@pytest.mark.quick("2")
@pytest.mark.parametrize("seed", range(3))
def test_the_p_value_is_that_of_all_relabellings(seed):
    """With four networks p is the share of the 24 relabellings that correlate as strongly."""
    x, y = matrices(4, seed)
    pairs = list(itertools.permutations(range(4), 2))
    numbers = [y[pair] for pair in pairs]
    found = []
    for label in itertools.permutations(range(4)):
        moved = [x[label[i], label[j]] for i, j in pairs]
        found.append(abs(spearmanr(moved, numbers).statistic))
    extreme = sum(rho >= found[0] - 1e-9 for rho in found)
    got = matrix_correlation(x, y)
    assert got["p_value"] == pytest.approx(extreme / 24)
    assert got["p_value"] >= 1 / 24


@pytest.mark.slow
def test_the_order_of_networks_does_not_matter(monkeypatch):
    """Relabelling the networks of both matrices together changes neither ρ nor p."""
    monkeypatch.setattr(module, "BOOTSTRAP_DRAWS", 100)
    x, y = matrices(5)
    order = np.array([3, 0, 4, 1, 2])
    expected = matrix_correlation(x, y)
    got = matrix_correlation(x[np.ix_(order, order)], y[np.ix_(order, order)])
    for key in ("spearman", "p_value", "n_pairs", "n_networks"):
        assert got[key] == pytest.approx(expected[key], abs=1e-12)


@pytest.mark.slow
def test_the_interval_is_that_of_drawn_networks(monkeypatch):
    """Networks are drawn with their pairs, copies are not paired, and two networks are too few."""
    monkeypatch.setattr(module, "DRAWS", 1)
    x, y = matrices(9)
    rng = np.random.default_rng(11)
    drawn = []
    while len(drawn) < 2000:
        chosen = rng.integers(9, size=9).tolist()
        if len(set(chosen)) < 3:
            continue
        pairs = [(a, b) for a in chosen for b in chosen if a != b]
        drawn.append(spearman([x[pair] for pair in pairs], [y[pair] for pair in pairs]))
    got = matrix_correlation(x, y)
    # The ends of two runs of 2,000 draws differ by about 0.02.
    expected = np.percentile(drawn, [2.5, 97.5])
    assert [got["ci_low"], got["ci_high"]] == pytest.approx(expected.tolist(), abs=0.06)


@pytest.mark.slow
def test_many_networks_are_relabelled_at_random(monkeypatch):
    """Beyond seven networks relabellings are drawn, the true one among them, alike every time."""
    monkeypatch.setattr(module, "DRAWS", 200)
    monkeypatch.setattr(module, "BOOTSTRAP_DRAWS", 50)
    x, _ = matrices(8)
    got = matrix_correlation(x, 3 * x + 1)
    assert got["spearman"] == pytest.approx(1)
    assert got["p_value"] == 1 / 200
    assert matrix_correlation(x, 3 * x + 1) == got


@pytest.mark.parametrize(
    ("n", "reason"),
    [(3, "fewer than 4 networks have both numbers"), (5, "one of the two numbers is the same")],
)
def test_undefined_matrix_correlations_have_a_reason(n, reason):
    """Few networks and a constant side leave None, with the reason."""
    x, y = matrices(n)
    got = matrix_correlation(x, np.where(np.isfinite(y), 2.0, np.nan) if n > 3 else y)
    assert got["spearman"] is got["ci_low"] is got["ci_high"] is got["p_value"] is None
    assert reason in got["reason"]
    empty = matrix_correlation(np.full((n, n), np.nan), y)
    assert empty["n_networks"] == empty["n_pairs"] == 0
    assert "fewer than 4 networks" in empty["reason"]


@pytest.mark.slow
def test_few_pairs_are_never_significant():
    """Two pairs among four networks correlate with nothing, and three by chance alone."""
    x = np.full((4, 4), np.nan)
    x[0, 1], x[2, 3] = 1, 2
    got = matrix_correlation(x, x)
    assert got["spearman"] is got["ci_low"] is got["p_value"] is None
    assert got["reason"] == "fewer than 3 pairs of networks have both numbers"
    x = np.full((5, 5), np.nan)
    x[0, 1], x[2, 3], x[3, 4] = 1, 2, 5
    got = matrix_correlation(x, x)
    assert got["spearman"] == pytest.approx(1)
    assert got["p_value"] == 1
    assert got["ci_low"] is got["ci_high"] is None
    assert got["reason"] == "too few draws of networks keep enough pairs: no interval"
