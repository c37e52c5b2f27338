from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers import (
    CASES,
    SCALES,
    array_in,
    assert_close,
    assert_same_map,
    augmented,
    coefficients,
    covering,
    make,
    moments_of,
    scaled_case,
)

from intertwine.errors import InputError, SpaceMismatchError
from intertwine.estimators import ridge
from intertwine.estimators.gcv import ALPHAS, SHARES
from intertwine.estimators.normal import INTERCEPTS, Eigen
from intertwine.estimators.ridge import check_alpha
from intertwine.maps.linear_map import LinearMap
from intertwine.moments.moments import Moments
from intertwine.spaces import Space


def fit(a, b, *, precision: str = "float64", prior=None, **options) -> LinearMap:
    """Return the ridge map a → b."""
    priors = None if prior is None else {"b": prior}
    return ridge(moments_of(a, b, precision=precision), "a", ["b"], priors=priors, **options)["b"]


def random_prior(a, b, seed: int = 0) -> LinearMap:
    """Return a map between the spaces of two arrays, drawn at random."""
    rng = np.random.default_rng(seed)
    d, q = a.shape[1], b.shape[1]
    weight = rng.standard_normal((q, d)) / np.sqrt(d)
    return LinearMap(weight, rng.standard_normal(q), Space("a", d), Space("b", q), "drawn")


def solved(z, y, alpha: float):
    """Return the ridge coefficients by least squares on rows with √λI below, (p, q)."""
    below = np.sqrt(alpha) * np.eye(z.shape[1])
    return np.linalg.lstsq(
        np.vstack([z, below]), np.vstack([y, np.zeros((z.shape[1], y.shape[1]))])
    )[0]


# -- a number ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize(
    ("case", "intercept"),
    [*((case, "free") for case in CASES), *((case, "none") for case in CASES if case != "far")],
)
def test_ridge_is_scikit_learns(case, alpha, intercept):
    """Weights and biases are those of scikit-learn's Ridge to 1e-6."""
    from sklearn.linear_model import Ridge

    a, b = make(case)
    expected = Ridge(alpha=alpha, fit_intercept=intercept == "free", solver="svd").fit(a, b)
    got = fit(a, b, alpha=alpha, intercept=intercept)
    assert_close(got.weight, np.atleast_2d(expected.coef_), 1e-6)
    assert_close(got.apply(a), expected.predict(a).reshape(b.shape), 1e-6)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("case", [case for case in CASES if case != "far"])
def test_homogeneous_penalises_the_intercept_too(case, alpha):
    """The homogeneous form is ridge on features with a 1 appended, its weight penalised."""
    a, b = make(case)
    expected = solved(*augmented(a, b, "homogeneous"), alpha)
    got = fit(a, b, alpha=alpha, intercept="homogeneous")
    assert_close(coefficients(got, "homogeneous"), expected, 1e-6)


@pytest.mark.parametrize("intercept", ["homogeneous", "none"])
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e4])
def test_features_far_from_the_origin_they_are_taken_about(alpha, intercept):
    """Means 10,000 times the spread, without a free intercept, leave predictions right to 1e-9."""
    a, b = make("far")
    z, y = augmented(a, b, intercept)
    got = fit(a, b, alpha=alpha, intercept=intercept)
    assert_close(z @ coefficients(got, intercept), z @ solved(z, y, alpha), 1e-9)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_every_dtype_and_library_gives_its_map(dtype, library, precision):
    """The map from chunks of any dtype and library is scikit-learn's on those numbers."""
    from sklearn.linear_model import Ridge

    a, b = (array.astype(dtype) for array in make("tall"))
    moments = Moments({"a": 12, "b": 7}, precision=precision)
    for start in range(0, 200, 37):
        rows = {"a": a[start : start + 37], "b": b[start : start + 37]}
        moments.update({name: array_in(library, part) for name, part in rows.items()})
    got = ridge(moments, "a", ["b"], alpha=2.0)["b"]
    expected = Ridge(alpha=2.0).fit(a.astype(np.float64), b.astype(np.float64))
    assert_close(got.weight, expected.coef_, 1e-10 if precision == "float64" else 1e-4)


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("case", [case for case in CASES if case != "far"])
def test_zero_is_least_squares_of_minimum_norm(case, intercept):
    """λ = 0 is NumPy's lstsq, of minimum norm where features are rank-deficient."""
    a, b = make(case)
    expected = np.linalg.lstsq(*augmented(a, b, intercept))[0]
    got = fit(a, b, alpha=0.0, intercept=intercept)
    assert_close(coefficients(got, intercept), expected, 1e-7)


def test_zero_is_scikit_learns_linear_regression():
    """λ = 0 far from the origin is scikit-learn's LinearRegression."""
    from sklearn.linear_model import LinearRegression

    a, b = make("far")
    expected = LinearRegression().fit(a, b)
    assert_close(fit(a, b, alpha=0).weight, expected.coef_, 1e-8)
    assert_close(fit(a, b, alpha=0).bias, expected.intercept_, 1e-8)


@pytest.mark.parametrize(
    ("case", "alpha", "precision"),
    covering(
        ["wide", "duplicated", "rank one", "constant", "tall"],
        [*np.logspace(-14, 4, 5), 0.0],
        ["float64", "float32"],
    ),
)
def test_tiny_alphas_do_not_blow_up_null_directions(case, alpha, precision):
    """However small λ is, directions without data get no weight: the map is that of the SVD."""
    a, b = make(case)
    a = 1000 * a @ np.linalg.qr(np.random.default_rng(1).standard_normal((a.shape[1],) * 2))[0]
    z, y = augmented(a, b, "free")
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    kept = s > 1e-10 * s[0]
    expected = (vt[kept].T * (s / (s**2 + alpha))[kept]) @ u.T[kept] @ y
    got = fit(a, b, alpha=float(alpha), precision=precision)
    assert_close(got.weight.T, expected, 1e-7 if precision == "float64" else 3e-2)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("alpha", np.logspace(-14, 4, 4))
def test_dead_features_need_no_eigenvectors(monkeypatch, alpha, precision):
    """Features that never vary get no weight from the plain factor, however small λ is."""
    monkeypatch.delattr(Eigen, "of")
    a, b = make("dead")
    z, y = augmented(a, b, "free")
    got = fit(a, b, alpha=float(alpha), precision=precision)
    alive = z.any(axis=0)
    assert not got.weight[:, ~alive].any()
    expected = solved(z[:, alive], y, alpha)
    assert_close(got.weight[:, alive].T, expected, 1e-10 if precision == "float64" else 1e-5)


@pytest.mark.parametrize("alpha", [0.0, 1.0, "gcv"])
def test_a_source_without_spread_gives_the_mean(alpha):
    """Where the source never varies the weight is zero, the bias the target's mean, and it says so."""
    a, b = make("tall")
    got = fit(np.full_like(a, 0.1), b, alpha=alpha)
    assert not got.weight.any()
    assert_close(got.bias, b.mean(axis=0), 1e-13)
    assert "the source's features have rank 0 of 12" in got.info["notes"]


@pytest.mark.parametrize("alpha", [0.0, 1.0, "gcv", "gcv-per-target"])
def test_constant_targets_are_answered_exactly(alpha):
    """A target that never varies gets no weight and its own value as bias."""
    a, b = make("constant")
    got = fit(a, b, alpha=alpha)
    assert np.abs(got.weight[2]).max() == 0
    assert got.bias[2] == pytest.approx(-7.3, rel=1e-14)


def test_permuting_pairs_changes_nothing_and_unpairing_does():
    """Rows permuted together give the same map; one side permuted alone gives another."""
    a, b = make("tall")
    order = np.random.default_rng(0).permutation(len(a))
    assert_same_map(fit(a[order], b[order]), fit(a, b), 1e-12)
    assert np.abs(fit(a[order], b).weight - fit(a, b).weight).max() > 0.1


@pytest.mark.parametrize("alpha", [0.0, 1.0, "gcv", "gcv-per-target"])
def test_several_targets_are_several_fits(alpha):
    """Targets fitted together get the maps that each alone would get."""
    a, b = make("tall")
    moments = Moments({"x": 3, "a": 12, "b": 7, "y": 2})
    rows = {"x": b[:, :3] ** 2, "a": a, "b": b, "y": b[:, 3:5] + 1}
    moments.update(rows)
    together = ridge(moments, "a", ["b", "x", "y"], alpha=alpha)
    assert list(together) == ["b", "x", "y"]
    for target, got in together.items():
        alone = Moments({"a": 12, target: rows[target].shape[1]})
        alone.update({"a": a, target: rows[target]})
        assert_same_map(got, ridge(alone, "a", [target], alpha=alpha)[target], 1e-10)
        assert (got.source.name, got.target.name, got.method) == ("a", target, "ridge")


def test_a_space_maps_to_itself():
    """The least-squares map of a space to itself is the identity."""
    a, b = make("tall")
    got = ridge(moments_of(a, b), "a", ["a"], alpha=0)["a"]
    assert_close(got.weight, np.eye(12), 1e-9)


@pytest.mark.parametrize(
    ("case", "rank"), [("tall", 12), ("wide", 29), ("dead", 10), ("duplicated", 10)]
)
@pytest.mark.parametrize("alpha", [0.0, 1.0, "gcv"])
def test_the_map_says_what_it_was_fitted_on(case, rank, alpha):
    """The facts hold λ, n, rank, and a note where the rank is short."""
    a, b = make(case)
    info = fit(a, b, alpha=alpha).info
    assert (info["n"], info["intercept"], info["rank"]) == (len(a), "free", rank)
    assert info["alpha_min"] <= info["alpha"] <= info["alpha_max"]
    note = f"the source's features have rank {rank} of {a.shape[1]}"
    assert (note in info["notes"]) == (rank < a.shape[1])


# -- gcv --------------------------------------------------------------------------------------------


def scored(a, b, alpha: float, intercept: str):
    """Return the textbook's GCV score of every target, (q,), from an explicit hat matrix."""
    z, y = augmented(a, b, intercept)
    hat = z @ np.linalg.solve(z.T @ z + alpha * np.eye(z.shape[1]), z.T)
    free = len(z) - np.trace(hat) - (intercept == "free")
    return len(z) * ((y - hat @ y) ** 2).sum(axis=0) / free**2


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("alpha", ["gcv", "gcv-per-target"])
@pytest.mark.parametrize("case", ["tall", "to more", "to one", "dead", "duplicated"])
def test_gcv_maps_are_ridge_at_the_textbooks_choice(case, alpha, intercept):
    """The λ chosen minimises the textbook's score, and the map is ridge at that λ."""
    from sklearn.linear_model import Ridge

    a, b = make(case)
    scores = np.array([scored(a, b, value, intercept) for value in ALPHAS])
    if alpha == "gcv":
        scores = scores.sum(axis=1, keepdims=True)
    chosen = np.broadcast_to(ALPHAS[scores.argmin(axis=0)], b.shape[1])
    got = fit(a, b, alpha=alpha, intercept=intercept, alphas=ALPHAS)
    expected = Ridge(alpha=chosen, fit_intercept=False, solver="svd").fit(
        *augmented(a, b, intercept)
    )
    assert_close(coefficients(got, intercept).T, np.atleast_2d(expected.coef_), 1e-8)
    assert got.info["alpha"] == np.median(chosen)
    assert (got.info["alpha_min"], got.info["alpha_max"]) == (chosen.min(), chosen.max())


def test_the_grid_may_be_given():
    """GCV searches the grid that is given."""
    a, b = make("tall")
    assert fit(a, b, alpha="gcv", alphas=np.array([123.0])).info["alpha"] == 123


@pytest.mark.quick("gcv-per-target")
@pytest.mark.parametrize("alpha", ["gcv", "gcv-per-target"])
@given(exponent=st.integers(-60, 60), digit=st.floats(1, 9.9))
def test_the_choice_of_lambda_has_no_unit(alpha, exponent, digit):
    """A source scaled by c gets λ times c² and the same predictions, at any c."""
    a, b = make("tall")
    factor = digit * 10.0**exponent
    plain, scaled = fit(a, b, alpha=alpha), fit(a * factor, b, alpha=alpha)
    for key in ("alpha", "alpha_min", "alpha_max"):
        assert scaled.info[key] == pytest.approx(plain.info[key] * factor**2, rel=1e-6)
    assert_close(scaled.weight * factor, plain.weight, 1e-8)


@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_the_default_grid_goes_by_the_mean_eigenvalue(intercept):
    """λ is a share of tr G / rank G, which dead and copied features do not change."""
    a, b = make("duplicated")
    a[:, 8] = 0
    z, _ = augmented(a, b, intercept)
    mean = (z**2).sum() / np.linalg.matrix_rank(z)
    got = fit(a, b, alpha="gcv", intercept=intercept).info["alpha"] / mean
    assert np.abs(got / SHARES - 1).min() < 1e-9


@pytest.mark.parametrize("factor", [1e-5, 1.0, 1e4])
def test_a_number_stays_what_it_is(factor):
    """λ = 1 and a grid that is given are in the unit of the features squared, whatever they are."""
    from sklearn.linear_model import Ridge

    a, b = make("tall")
    a = a * factor
    expected = Ridge(1.0, solver="svd").fit(a, b)
    assert_close(fit(a, b, alpha=1.0).weight, expected.coef_, 1e-7)
    assert fit(a, b, alpha="gcv", alphas=ALPHAS).info["alpha"] in ALPHAS


def test_float32_gcv_maps_are_close_on_steep_spectra():
    """Float32 products give float64's map where the spectrum falls over many orders."""
    rng = np.random.default_rng(0)
    n, d = 6000, 200
    cause = rng.standard_normal((n, d)) / np.arange(1, d + 1)
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    a = np.maximum(cause @ turn + 0.05, 0).astype(np.float32)
    b = (cause[:, :60] @ rng.standard_normal((60, 5)) + 0.1 * rng.standard_normal((n, 5))) / 3
    exact, rough = (fit(a, b, alpha="gcv", precision=p) for p in ("float64", "float32"))
    assert rough.info["alpha"] == pytest.approx(exact.info["alpha"], rel=1e-6)
    assert_close(rough.apply(a), exact.apply(a), 1e-4)


# -- priors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("intercept", ["free", "homogeneous"])
@pytest.mark.parametrize("alpha", [0.0, 1.0, "gcv"])
def test_without_rows_the_result_is_the_prior(alpha, intercept):
    """With no data at all the map is the prior itself, weight and bias."""
    a, b = make("tall")
    prior = random_prior(a, b)
    got = fit(a[:0], b[:0], alpha=alpha, intercept=intercept, prior=prior)
    assert np.array_equal(got.weight, prior.weight)
    assert np.array_equal(got.bias, prior.bias)
    assert got.info["n"] == 0


@pytest.mark.parametrize("n", [1, 2, 5, 200])
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e3])
def test_a_prior_follows_the_formula(alpha, n):
    """M = (S_BA + λM₀)(S_AA + λI)⁻¹ and b = μ_B − Mμ_A, from a single row on."""
    a, b = (array[:n] for array in make("tall"))
    prior = random_prior(a, b)
    z, y = augmented(a, b, "free")
    weight = (y.T @ z + alpha * prior.weight) @ np.linalg.inv(z.T @ z + alpha * np.eye(12))
    got = fit(a, b, alpha=alpha, prior=prior)
    assert_close(got.weight, weight, 1e-9)
    assert_close(got.bias, b.mean(axis=0) - weight @ a.mean(axis=0), 1e-9)
    assert got.info["prior"] == "drawn"


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("alpha", [1.0, 30.0])
@pytest.mark.parametrize("case", ["tall", "wide", "dead", "to more"])
def test_a_prior_is_what_the_penalty_pulls_to(case, alpha, intercept):
    """The coefficients minimise ‖Y − ZB‖² + λ‖B − B₀‖², by least squares on stacked rows."""
    a, b = make(case)
    prior = random_prior(a, b)
    if intercept == "none":
        prior = replace(prior, bias=0 * prior.bias)
    z, y = augmented(a, b, intercept)
    start = coefficients(prior, intercept)
    root = np.sqrt(alpha)
    stacked = np.vstack([z, root * np.eye(z.shape[1])]), np.vstack([y, root * start])
    got = fit(a, b, alpha=alpha, intercept=intercept, prior=prior)
    assert_close(coefficients(got, intercept), np.linalg.lstsq(*stacked)[0], 1e-9)


@pytest.mark.slow
def test_with_many_rows_the_prior_fades():
    """The distance to the map without a prior falls about as 1 / n, the one to the prior does not."""
    rng = np.random.default_rng(0)
    true = rng.standard_normal((12, 7))
    gaps = []
    for n in (100, 10_000, 100_000):
        a = rng.standard_normal((n, 12))
        b = a @ true + rng.standard_normal((n, 7))
        prior = random_prior(a, b)
        with_prior, plain = fit(a, b, prior=prior), fit(a, b)
        gaps.append(np.abs(with_prior.weight - plain.weight).max())
        assert np.abs(with_prior.weight - prior.weight).max() > 0.5
    assert gaps[1] < 2e-2 * gaps[0]
    assert gaps[2] < 2e-1 * gaps[1]


@pytest.mark.parametrize("alpha", [1.0, "gcv", "gcv-per-target"])
@pytest.mark.parametrize("intercept", ["free", "homogeneous"])
def test_a_prior_is_a_map_of_what_it_leaves_over(alpha, intercept):
    """Ridge toward a prior is the prior plus ridge on its residuals, λ chosen alike."""
    a, b = make("tall")
    prior = random_prior(a, b)
    got = fit(a, b, alpha=alpha, intercept=intercept, prior=prior)
    rest = fit(a, b - prior.apply(a), alpha=alpha, intercept=intercept)
    assert_close(got.weight, prior.weight + rest.weight, 1e-9)
    assert_close(got.bias, prior.bias + rest.bias, 1e-9)
    for fact in ("alpha", "alpha_min", "alpha_max"):
        assert got.info[fact] == rest.info[fact]


@pytest.mark.parametrize("alpha", [0.0, 1.0, "gcv", "gcv-per-target"])
def test_a_perfect_prior_is_kept(alpha):
    """Where the prior already predicts the target there is nothing to add."""
    a, b = make("tall")
    prior = random_prior(a, b)
    assert_same_map(
        fit(a, prior.apply(a), alpha=alpha, prior=prior),
        replace(prior, source_mean=a.mean(axis=0), source_spread=a.std(axis=0)),
        1e-9,
    )


@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_a_prior_of_zero_is_no_prior(intercept):
    """Shrinking toward the zero map is plain ridge."""
    a, b = make("tall")
    zero = replace(random_prior(a, b), weight=np.zeros((7, 12)), bias=np.zeros(7))
    assert_same_map(
        fit(a, b, intercept=intercept, prior=zero), fit(a, b, intercept=intercept), 1e-12
    )


@pytest.mark.parametrize("n", [0, 50])
def test_priors_that_do_not_fit_are_refused(n):
    """A prior between other spaces, or with a bias that has no place, is refused with any n."""
    a, b = (array[:n] for array in make("tall"))
    prior = random_prior(a, b)
    with pytest.raises(InputError, match="has a bias, but intercept none has no place"):
        fit(a, b, intercept="none", prior=prior)
    with pytest.raises(SpaceMismatchError, match="got space x of dimension 12, expected a"):
        fit(a, b, prior=replace(prior, source=Space("x", 12)))
    with pytest.raises(SpaceMismatchError, match="got space x of dimension 7, expected b"):
        fit(a, b, prior=replace(prior, target=Space("x", 7)))


# -- bad options ------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [-1, np.nan, np.inf, "GCV", "", None, [1.0, 2.0]])
def test_alphas_that_are_none_are_refused(alpha):
    """λ is a number of at least 0, or the name of a way to choose it."""
    with pytest.raises(
        InputError, match=r"got alpha .*, expected a number of at least 0 or one of"
    ):
        check_alpha(alpha)


@pytest.mark.parametrize(("alpha", "expected"), [("2.5", 2.5), (3, 3.0), ("gcv", "gcv")])
def test_alphas_may_be_text(alpha, expected):
    """λ as text is the number it spells, as commands give it."""
    assert check_alpha(alpha) == expected


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_rows_are_refused(n):
    """Without a prior a map needs two rows."""
    a, b = make("tall")
    with pytest.raises(InputError, match=f"got n = {n} rows?, expected at least 2 to fit a map"):
        fit(a[:n], b[:n])


def test_unknown_spaces_are_refused():
    """Sources and targets that the moments lack are refused by name."""
    moments = moments_of(*make("tall"))
    with pytest.raises(InputError, match="got source 'x', expected one of"):
        ridge(moments, "x", ["b"])
    with pytest.raises(InputError, match="got space 'x', expected one of"):
        ridge(moments, "a", ["x"])


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0, "gcv", "gcv-per-target"])
@pytest.mark.parametrize("intercept", ["free", "homogeneous"])
def test_one_large_feature_drops_no_other(intercept, alpha, precision):
    """Beside a feature 3,000 times as large the others predict held-out rows as in scikit-learn."""
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(0)
    a = rng.standard_normal((1500, 60))
    b = a @ rng.standard_normal((60, 20)) / 8 + 0.3 * rng.standard_normal((1500, 20))
    a[:, 7] *= 3000
    fitted = ridge(
        moments_of(a[:1000], b[:1000], precision=precision),
        "a",
        ["b"],
        alpha=alpha,
        intercept=intercept,
    )["b"]
    expected = Ridge(1.0).fit(a[:1000], b[:1000]).predict(a[1000:])
    right = r2_score(b[1000:], expected, multioutput="variance_weighted")
    got = r2_score(b[1000:], fitted.apply(a[1000:]), multioutput="variance_weighted")
    assert right > 0.8
    assert got == pytest.approx(right, abs=2e-3)
    assert fitted.info["rank"] == 60 + (intercept == "homogeneous")
    assert not any("rank" in note for note in fitted.info["notes"])


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", SCALES)
def test_least_squares_does_not_depend_on_the_scale_of_features(name, precision):
    """With λ = 0 predictions are those of features of equal scale, found from the rows by LAPACK."""
    a, b, scale = scaled_case(name)
    fitted = ridge(moments_of(a * scale, b, precision=precision), "a", ["b"], alpha=0.0)["b"]
    design = np.column_stack([a, np.ones(len(a))])
    expected = design @ np.linalg.lstsq(design, b)[0]
    rounding = 1e-9 if precision == "float64" else 1e-4
    assert_close(fitted.weight @ (a * scale).T + fitted.bias[:, None], expected.T, rounding)
