from dataclasses import replace

import numpy as np
import pytest
from tests.helpers import CASES, make, moments_of

from intertwine.errors import InputError, SpaceMismatchError
from intertwine.estimators import identity, mean_vector, ridge
from intertwine.estimators.gcv import (
    ALPHAS,
    LOWER,
    MIN_FREE_SHARE,
    MIN_RESIDUAL_SHARE,
    NO_CANDIDATE,
    UPPER,
)
from intertwine.moments.moments import Moments
from intertwine.similarity import r_squared
from intertwine.similarity.measures import MEASURES, RIGID
from intertwine.similarity.predictivity import fold
from intertwine.similarity.spectrum import Spectrum
from intertwine.spaces import Space

_HALVES = (slice(100), slice(100, None))


def explained(a, b, fitted) -> float:
    """Return R² by the design's formula, from every row's prediction."""
    residual = ((b - fitted.apply(a)) ** 2).sum()
    return 1 - residual / ((b - b.mean(axis=0)) ** 2).sum()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("intercept", ["free", "homogeneous", "none"])
def test_r_squared_is_that_of_the_predictions(case, intercept):
    """R² from moments is that of the predictions, on the rows fitted and on others."""
    a, b = make(case)
    fitted = ridge(moments_of(a, b), "a", ["b"], intercept=intercept)["b"]
    tolerance = 1e-6 if case == "far" else 1e-10
    for rows in (slice(None), slice(len(a) // 2)):
        if len(a[rows]) > 1:
            got = r_squared(fitted, moments_of(a[rows], b[rows]))
            assert got == pytest.approx(explained(a[rows], b[rows], fitted), abs=tolerance)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_r_squared_is_scikit_learns(precision, tolerance):
    """R² is scikit-learn's with targets weighted by their variance."""
    from sklearn.metrics import r2_score

    a, b = make("tall")
    fitted = ridge(moments_of(a[:100], b[:100]), "a", ["b"])["b"]
    expected = r2_score(b[100:], fitted.apply(a[100:]), multioutput="variance_weighted")
    unseen = moments_of(a[100:], b[100:], precision=precision)
    assert r_squared(fitted, unseen) == pytest.approx(expected, abs=tolerance)


def test_perfect_useless_and_harmful_maps():
    """A perfect map has 1, the mean of the rows scored 0, and worse maps are negative."""
    a, b = make("tall")
    moments = moments_of(a, a * 1.0)
    assert r_squared(identity(*moments.spaces.values()), moments) == pytest.approx(1, abs=1e-14)
    moments = moments_of(a, b)
    assert r_squared(mean_vector(moments, "a", "b"), moments) == 0
    assert r_squared(mean_vector(moments_of(a, b + 9), "a", "b"), moments) < -1


def test_other_spaces_in_the_moments_do_not_matter():
    """Moments of more spaces than the map's give the same R²."""
    a, b = make("tall")
    fitted = ridge(moments_of(a, b), "a", ["b"])["b"]
    more = Moments({"c": 2, "b": 7, "a": 12})
    more.update({"a": a, "b": b, "c": a[:, :2]})
    assert r_squared(fitted, more) == pytest.approx(r_squared(fitted, moments_of(a, b)), abs=1e-12)


@pytest.mark.parametrize("n", [0, 1, 50])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_undefined_r_squared_is_refused(n, precision):
    """Where the target never varies over the rows scored, R² is undefined, and never NaN."""
    a, b = make("tall")
    fitted = ridge(moments_of(a, b), "a", ["b"])["b"]
    constant = moments_of(a[:n], np.full((n, 7), 0.1), precision=precision)
    with pytest.raises(InputError, match=f"b does not vary over {n} rows?: R² is undefined"):
        r_squared(fitted, constant)


def test_other_spaces_are_refused():
    """Moments that lack a space of the map, or hold another encoder's, are refused."""
    a, b = make("tall")
    moments = moments_of(a, b)
    fitted = ridge(moments, "a", ["b"])["b"]
    with pytest.raises(InputError, match="got space 'b', expected one of"):
        r_squared(fitted, moments.select(["a"]))
    with pytest.raises(InputError, match="got space 'a', expected one of"):
        r_squared(fitted, moments.select(["b"]))
    with pytest.raises(SpaceMismatchError, match="got space a of dimension 11"):
        r_squared(replace(fitted, source=Space("a", 11), weight=fitted.weight[:, :11]), moments)


# -- unseen rows ------------------------------------------------------------------------------------

UNSEEN = [case for case in CASES if case != "two rows"]


def gcv_alpha(a, b) -> float:
    """Return the λ of the least GCV score, by an explicit (n, n) hat matrix at every λ."""
    n = len(a)
    x, y = a - a.mean(axis=0), b - b.mean(axis=0)
    scores = []
    for alpha in ALPHAS:
        hat = x @ np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T)
        residual, free = ((y - hat @ y) ** 2).sum(), n - 1 - np.trace(hat)
        usable = free >= MIN_FREE_SHARE * n and residual >= MIN_RESIDUAL_SHARE * (y**2).sum()
        scores.append(n * residual / free**2 if usable else np.inf)
    return float(ALPHAS[np.argmin(scores)])


def fold_of(a, b, seen, *, precision: str = "float64", **options):
    """Return the fold a → b of maps fitted on the rows seen and scored on the others."""
    rest = moments_of(a[seen], b[seen], precision=precision)
    group = moments_of(a[~seen], b[~seen], precision=precision)
    return fold(rest, group, "a", ["b"], **options)["b"]


@pytest.mark.parametrize("case", UNSEEN)
def test_unseen_rows_are_scored_as_by_scikit_learn(case):
    """Group by group the residual is that of scikit-learn's ridge with λ by an explicit GCV."""
    from sklearn.linear_model import Ridge

    a, b = make(case)
    tolerance = 1e-6 if case == "far" else 1e-9
    order = np.random.default_rng(0).permutation(len(a))
    total = moments_of(a, b)
    for rows in np.array_split(order, 4):
        seen = np.ones(len(a), bool)
        seen[rows] = False
        alpha = gcv_alpha(a[seen], b[seen])
        model = Ridge(alpha=alpha, solver="svd").fit(a[seen], b[seen])
        fitted = model.predict(a[~seen]).reshape(len(rows), -1)
        group = moments_of(a[~seen], b[~seen])
        got = fold(total - group, group, "a", ["b"], alphas=ALPHAS)["b"]
        assert got.alpha == alpha
        assert got.residual == pytest.approx(((b[~seen] - fitted) ** 2).sum(), rel=tolerance)
        spread = ((b[seen] - b[seen].mean(axis=0)) ** 2).sum()
        assert got.spread == pytest.approx(spread, rel=tolerance)


@pytest.mark.parametrize("case", UNSEEN)
def test_an_unrelated_target_is_missed_as_stated(case):
    """The residual of white targets is on average m (1 + 1/n) and the squares of the hat matrix."""
    a, b = make(case)
    seen = np.arange(len(a)) % 4 > 0
    got = fold_of(a, b, seen)
    x, z = a[seen] - a[seen].mean(axis=0), a[~seen] - a[seen].mean(axis=0)
    hat = z @ np.linalg.solve(x.T @ x + got.alpha * np.eye(x.shape[1]), x.T)  # (m, n)
    # Every fresh target row adds 1, the mean of the rows seen 1/n, and the map its hat matrix.
    expected = (~seen).sum() * (1 + 1 / seen.sum()) + (hat**2).sum()
    assert got.unrelated == pytest.approx(expected, rel=1e-6 if case == "far" else 1e-9)


@pytest.mark.slow
def test_white_targets_have_the_residual_of_unrelated_ones():
    """Over fresh targets of noise the residual is `unrelated` at the same λ, within its error."""
    a, _ = make("tall")
    seen = np.arange(60) % 3 > 0
    rng = np.random.default_rng(0)
    folds = [
        fold_of(a[:60], rng.standard_normal((60, 1)), seen, alphas=np.array([5.0]))
        for _ in range(300)
    ]
    residuals = np.array([each.residual for each in folds])
    assert residuals.mean() == pytest.approx(folds[0].unrelated, abs=4 * residuals.std() / 300**0.5)


def test_float32_products_predict_as_well():
    """From float32 products the residual on unseen rows is within 1e-4 of the exact one."""
    a, b = make("tall")
    seen = np.arange(200) % 5 > 0
    exact, rough = (fold_of(a, b, seen, precision=each) for each in ("float64", "float32"))
    assert rough.residual == pytest.approx(exact.residual, rel=1e-4)
    assert rough.unrelated == pytest.approx(exact.unrelated, rel=1e-3)


def test_known_answers_on_unseen_rows():
    """Linear copies are predicted, noise is not, and rotations, shifts and scales change nothing."""
    a, b = make("tall")
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    seen = np.arange(200) % 5 > 0
    for copy in (a.copy(), 3 * a @ turn - 7, a @ rng.standard_normal((12, 12)) + 1):
        got = fold_of(a, copy, seen)
        assert got.residual / got.spread < 1e-5
    noise = fold_of(a, rng.standard_normal((200, 7)), seen)
    assert noise.residual / noise.spread > 0.9 * 40 / 160
    plain, moved = fold_of(a, b, seen), fold_of(a @ turn + 3, 2 * b - 5, seen)
    assert moved.residual == pytest.approx(4 * plain.residual, rel=1e-9)
    assert moved.unrelated == pytest.approx(plain.unrelated, rel=1e-9)


def test_one_factorisation_serves_every_target():
    """Several targets at once, and with a spectrum at hand, have the folds of one at a time."""
    a, b = make("tall")
    rest, group = (Moments({"a": 12, "b": 7, "c": 2}, precision="float64") for _ in range(2))
    rest.update({"a": a[:150], "b": b[:150], "c": np.tanh(a[:150, :2])})
    group.update({"a": a[150:], "b": b[150:], "c": np.tanh(a[150:, :2])})
    together = fold(rest, group, "a", ["b", "c"], spectrum=Spectrum.of(rest, "a"))
    assert list(together) == ["b", "c"]
    for target, got in together.items():
        alone = fold(rest, group, "a", [target])[target]
        assert got.alpha == pytest.approx(alone.alpha, rel=1e-12)
        assert got.residual == pytest.approx(alone.residual, rel=1e-9)
        assert got.unrelated == pytest.approx(alone.unrelated, rel=1e-12)


def test_a_constant_source_predicts_the_mean():
    """Without variation in the source the residual is the spread about the mean of the rows seen."""
    a, b = make("tall")
    seen = np.arange(200) % 5 > 0
    got = fold_of(np.full_like(a, 0.1), b, seen)
    assert got.residual == pytest.approx(((b[~seen] - b[seen].mean(axis=0)) ** 2).sum(), rel=1e-12)
    assert got.unrelated == pytest.approx(40 * (1 + 1 / 160))


def test_too_few_rows_to_fit_are_refused():
    """One row is none to fit a map on, and a space that is not there is none to fit."""
    a, b = make("tall")
    seen = np.arange(200) == 0
    with pytest.raises(InputError, match="got n = 1 row, expected at least 2 to fit a map"):
        fold_of(a, b, seen)
    rest, group = moments_of(a[:100], b[:100]), moments_of(a[100:], b[100:])
    with pytest.raises(InputError, match="got source 'x', expected one of"):
        fold(rest, group, "x", ["b"])
    with pytest.raises(InputError, match="got space 'x', expected one of"):
        fold(rest, group, "a", ["x"])


@pytest.mark.parametrize("factor", [1e-60, 1e-5, 1e3, 1e60])
def test_r2_does_not_depend_on_the_unit_of_the_source(factor):
    """A source in any unit predicts the same, with λ in its unit squared."""
    a, b = make("tall")
    seen = np.arange(200) % 5 > 0
    plain, scaled = fold_of(a, b, seen), fold_of(a * factor, b, seen)
    assert scaled.residual == pytest.approx(plain.residual, rel=1e-9)
    assert scaled.unrelated == pytest.approx(plain.unrelated, rel=1e-9)
    assert scaled.alpha == pytest.approx(plain.alpha * factor**2, rel=1e-9)


def test_a_chosen_edge_is_said():
    """A λ at an edge of the grid, and one that nothing speaks for, are told apart from the others."""
    a, b = make("tall")
    seen = np.arange(200) % 5 > 0
    assert fold_of(a, b, seen).note == ""
    assert fold_of(a * 1e-5, b, seen, alphas=ALPHAS).note == LOWER
    assert fold_of(a, b, seen, alphas=[1e-9, 1e-8]).note == UPPER
    assert fold_of(a, a[:, :3], seen, alphas=ALPHAS[:3]).note == NO_CANDIDATE


@pytest.mark.parametrize("moved", ["a", "b"])
def test_held_out_r2_ignores_what_the_list_says(moved):
    """Held-out R² ignores shift, rotation and one scale of either space, as `MEASURES` says."""
    a, b = make("tall")
    sides = {"a": a, "b": b}
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((sides[moved].shape[1],) * 2))[0]

    def score(rows):
        rest, group = (moments_of(rows["a"][part], rows["b"][part]) for part in _HALVES)
        found = fold(rest, group, "a", ["b"])["b"]
        return 1 - found.residual / group.scatter_diagonal("b").sum()

    changed = {**sides, moved: 300 * sides[moved] @ turn + 5}
    assert score(changed) == pytest.approx(score(sides), abs=1e-9)
    assert MEASURES["r2"].ignores == RIGID
