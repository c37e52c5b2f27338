import numpy as np
import pytest
from tests.helpers import (
    CASES,
    assert_close,
    assert_same_map,
    augmented,
    coefficients,
    covering,
    make,
    moments_of,
)

from intertwine.errors import InputError
from intertwine.estimators import reduced_rank, ridge
from intertwine.estimators.gcv import ALPHAS
from intertwine.estimators.normal import INTERCEPTS
from intertwine.estimators.reduced_rank import rank_path
from intertwine.moments.moments import Moments

NEAR = [case for case in CASES if case != "far"]


def fit(a, b, *, precision: str = "float64", **options):
    """Return the reduced-rank map a → b."""
    return reduced_rank(moments_of(a, b, precision=precision), "a", ["b"], **options)["b"]


def two_steps(a, b, rank: int, alpha: float, intercept: str):
    """Return B_λ V_r V_rᵀ by its definition, with explicit inverses."""
    z, y = augmented(a, b, intercept)
    shrunk = z.T @ z + alpha * np.eye(z.shape[1])
    full = np.linalg.solve(shrunk, z.T @ y)
    vectors = np.linalg.eigh(full.T @ shrunk @ full)[1][:, ::-1][:, :rank]
    return full @ vectors @ vectors.T


def stacked(a, b, rank: int, alpha: float, intercept: str):
    """Return Mukherjee and Zhu's map: least squares on stacked rows, then the SVD of its fit."""
    z, y = augmented(a, b, intercept)
    rows = np.vstack([z, np.sqrt(alpha) * np.eye(z.shape[1])])
    targets = np.vstack([y, np.zeros((z.shape[1], y.shape[1]))])
    full = np.linalg.lstsq(rows, targets)[0]
    vt = np.linalg.svd(rows @ full, full_matrices=False)[2][:rank]
    return full @ vt.T @ vt


@pytest.mark.parametrize(
    ("case", "oracle", "rank", "intercept"),
    covering(NEAR, [two_steps, stacked], [1, 2, 5], INTERCEPTS, strength=3),
)
def test_reduced_rank_is_its_definition(case, oracle, rank, intercept):
    """The map is the two-step definition, and the SVD of stacked least squares."""
    a, b = make(case)
    rank = min(rank, np.linalg.matrix_rank(augmented(a, b, intercept)[1]))
    got = fit(a, b, rank=rank, alpha=0.7, intercept=intercept)
    assert_close(coefficients(got, intercept), oracle(a, b, rank, 0.7, intercept), 1e-7)
    explained = np.linalg.matrix_rank(coefficients(got, intercept), rtol=1e-9)
    assert explained <= min(rank, got.info["map_rank"])


def test_features_far_from_zero():
    """Means 10,000 times the spread cost nothing."""
    a, b = make("far")
    assert_close(fit(a, b, rank=2).weight.T, stacked(a, b, 2, 1.0, "free"), 1e-7)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 100.0])
def test_no_map_of_the_rank_is_better(alpha):
    """The objective is less than at random maps of the rank near it and at the truncated weight."""
    a, b = make("tall")
    z, y = augmented(a, b, "free")

    def objective(m):
        return ((y - z @ m) ** 2).sum() + alpha * (m**2).sum()

    best = fit(a, b, rank=2, alpha=alpha).weight.T
    u, s, vt = np.linalg.svd(fit(a, b, rank=7, alpha=alpha).weight.T, full_matrices=False)
    assert objective(best) < objective((u[:, :2] * s[:2]) @ vt[:2])
    rng = np.random.default_rng(0)
    left, s, right = np.linalg.svd(best, full_matrices=False)
    for _ in range(50):
        other = (left[:, :2] * s[:2] + 1e-3 * rng.standard_normal((12, 2))) @ (
            right[:2] + 1e-3 * rng.standard_normal((2, 7))
        )
        assert objective(best) < objective(other)


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("alpha", [1.0, "gcv"])
@pytest.mark.parametrize("case", ["tall", "wide", "to more", "duplicated"])
def test_full_rank_is_ridge(case, alpha, intercept):
    """With the rank of the target nothing is cut: the map is ridge's, λ chosen alike."""
    a, b = make(case)
    got = fit(a, b, rank=b.shape[1], alpha=alpha, intercept=intercept)
    expected = ridge(moments_of(a, b), "a", ["b"], alpha=alpha, intercept=intercept)["b"]
    assert_same_map(got, expected, 1e-9)
    assert got.info["alpha"] == expected.info["alpha"]


def test_least_squares_of_limited_rank():
    """λ = 0 truncates what least squares explains."""
    a, b = make("tall")
    assert_close(fit(a, b, rank=3, alpha=0).weight.T, stacked(a, b, 3, 0.0, "free"), 1e-9)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_true_rank_is_found(precision):
    """GCV over ranks finds the rank of a low-rank relation under noise."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((600, 15))
    low = rng.standard_normal((15, 3)) @ rng.standard_normal((3, 10))
    b = a @ low + rng.standard_normal((600, 10))
    got = fit(a, b, rank="gcv", precision=precision)
    assert (got.info["map_rank"], np.linalg.matrix_rank(got.weight, rtol=1e-4)) == (3, 3)


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("alpha", [2.0, 300.0])
@pytest.mark.parametrize("case", ["tall", "to more", "duplicated"])
def test_the_rank_minimises_the_stated_score(case, alpha, intercept):
    """The rank chosen minimises n·q·RSS / (n·q − df)² with the df that the docstring states."""
    a, b = make(case)
    z, y = augmented(a, b, intercept)
    n, q = y.shape
    hat = z @ np.linalg.solve(z.T @ z + alpha * np.eye(z.shape[1]), z.T)
    scores, dfs = [], []
    for rank in range(1, min(q, np.linalg.matrix_rank(z)) + 1):
        rss = ((y - z @ two_steps(a, b, rank, alpha, intercept)) ** 2).sum()
        dfs.append(rank * (np.trace(hat) + q - rank) + q * (intercept == "free"))
        scores.append(n * q * rss / (n * q - dfs[-1]) ** 2)
    got = fit(a, b, rank="gcv", alpha=alpha, intercept=intercept)
    assert got.info["map_rank"] == 1 + int(np.argmin(scores))
    assert got.info["df"] == pytest.approx(min(zip(scores, dfs, strict=True))[1], rel=1e-9)


def test_a_rank_above_what_there_is_is_cut():
    """A rank above that of source or target gives the map that there is."""
    assert fit(*make("rank one"), rank=5).info["map_rank"] == 1
    assert fit(*make("to one"), rank=5).info["map_rank"] == 1
    assert fit(*make("two rows"), rank="gcv").info["map_rank"] == 1


def test_a_source_without_spread_gives_the_mean():
    """Where the source never varies the map is the target's mean."""
    a, b = make("tall")
    got = fit(np.full_like(a, 0.1), b, rank="gcv")
    assert not got.weight.any()
    assert (got.info["map_rank"], got.info["df"]) == (0, 0)


def test_several_targets_are_several_fits():
    """Targets fitted together have the λ and rank that each alone would have."""
    a, b = make("tall")
    moments = moments_of(a, b)
    together = reduced_rank(moments, "a", ["b", "a"], rank="gcv", alpha="gcv", alphas=ALPHAS[::4])
    alone = reduced_rank(moments, "a", ["b"], rank="gcv", alpha="gcv", alphas=ALPHAS[::4])
    assert np.array_equal(together["b"].weight, alone["b"].weight)
    assert together["b"].info["alpha"] in ALPHAS[::4]


@pytest.mark.parametrize("rank", [0, -1, 2.5, "two", float("nan")])
def test_ranks_that_are_none_are_refused(rank):
    """A rank is a whole number of at least 1, or gcv."""
    with pytest.raises(InputError, match=r"got rank .*, expected a whole number of at least 1, or"):
        fit(*make("tall"), rank=rank)


def test_what_it_cannot_do_is_refused():
    """λ by target, too few rows and unknown spaces are refused."""
    a, b = make("tall")
    with pytest.raises(InputError, match="method reduced-rank takes one alpha for all targets"):
        fit(a, b, rank=2, alpha="gcv-per-target")
    with pytest.raises(InputError, match="got alpha -1"):
        fit(a, b, rank=2, alpha=-1)
    with pytest.raises(InputError, match="got n = 1 row, expected at least 2"):
        fit(a[:1], b[:1], rank=1)
    with pytest.raises(InputError, match="got space 'x'"):
        reduced_rank(moments_of(a, b), "a", ["x"], rank=1)


@pytest.mark.parametrize("alpha", [0.5, "gcv"])
@pytest.mark.parametrize("intercept", ["free", "homogeneous", "none"])
def test_a_path_of_ranks_is_each_rank(alpha, intercept):
    """Maps of several ranks made at once equal the maps made one by one."""
    rng = np.random.default_rng(4)
    cause = rng.standard_normal((60, 4))
    moments = Moments({"a": 6, "b": 5, "c": 3})
    moments.update(
        {
            name: cause @ rng.standard_normal((4, dim)) + 0.3 * rng.standard_normal((60, dim)) + 1
            for name, dim in (("a", 6), ("b", 5), ("c", 3))
        }
    )
    options = {"alpha": alpha, "intercept": intercept}
    paths = rank_path(moments, "a", ["b", "c"], ranks=(1, 3, 9), **options)
    for rank in (1, 3, 9):
        single = reduced_rank(moments, "a", ["b", "c"], rank=rank, **options)
        for target in ("b", "c"):
            np.testing.assert_array_equal(paths[target][rank].weight, single[target].weight)
            assert paths[target][rank].info == single[target].info


def test_a_path_refuses_rank_zero():
    """A rank below one is refused."""
    with pytest.raises(InputError, match="got rank 0, expected a whole number of at least 1"):
        rank_path(Moments({"a": 2, "b": 2}), "a", ["b"], ranks=(2, 0))
