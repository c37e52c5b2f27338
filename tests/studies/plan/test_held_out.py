import numpy as np
import pytest

from intertwine.studies.plan.candidates import RIDGE_SHARES
from intertwine.studies.plan.held_out import Smoother

SHAPES = {
    "fewer rows than dimensions": (30, 45, 7, 30),
    "more rows than dimensions": (80, 12, 20, 80),
    "fewer than dimensions are left": (40, 33, 5, 40),
    "the first rows only": (60, 15, 9, 25),
    "the first rows only, fewer than dimensions": (60, 40, 9, 25),
    "a target of one dimension": (50, 10, 1, 50),
    "a source of one dimension": (50, 1, 6, 50),
}


def rows_of(shape, seed=0):
    """Return x and y of a shape, and how many rows are fitted on."""
    n, d_source, d_target, first = SHAPES[shape]
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d_source)) / np.sqrt(np.arange(1, d_source + 1)) + 3
    noise = 0.3 * rng.standard_normal((n, d_target))
    return x, x @ rng.standard_normal((d_source, d_target)) + noise - 1, first


def without(smoother, out, alpha, rows):
    """Return the rows asked for, as the closed form gives them."""
    return smoother.without(out, alpha, smoother.fitted(alpha), rows)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", RIDGE_SHARES)
def test_rows_left_out_are_predicted_as_by_a_fit_without_them(shape, share):
    """Every row, left out, fitted on or neither, is that of scikit-learn's ridge of the others."""
    from sklearn.linear_model import Ridge

    x, y, first = rows_of(shape)
    smoother = Smoother.of(x, y, first)
    alpha = share * x[:first].var(axis=0).mean() * first
    out = np.sort(np.random.default_rng(1).choice(first, first * 2 // 5, replace=False))
    kept = np.setdiff1d(np.arange(first), out)
    rows = np.random.default_rng(2).permutation(len(x))
    model = Ridge(alpha=alpha, solver="svd").fit(x[kept], y[kept])
    expected = model.predict(x[rows]).reshape(len(x), -1)
    found = without(smoother, out, alpha, rows)
    np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())


def test_nothing_left_out_is_the_fit_of_all():
    """Without any row left out the answer is scikit-learn's ridge of all."""
    from sklearn.linear_model import Ridge

    x, y, first = rows_of("the first rows only")
    rows = np.array([50, 3])
    found = without(Smoother.of(x, y, first), np.arange(0), 0.7, rows)
    expected = Ridge(alpha=0.7).fit(x[:first], y[:first]).predict(x[rows])
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_constant_source_gives_the_mean_of_the_others():
    """Where the rows fitted on do not vary, each is predicted as the mean of those kept."""
    y = np.random.default_rng(0).standard_normal((20, 3))
    out = np.array([2, 5, 11])
    found = without(Smoother.of(np.full((20, 4), 0.1), y, 20), out, 1.0, out)
    expected = np.tile(np.delete(y, out, axis=0).mean(axis=0), (3, 1))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("share", [1e-8, 1e-6, 1e-4])
def test_digits_are_lost_in_proportion_to_lambda(share):
    """Of fewer rows than dimensions the relative error stays below 1e-14 over λ's share."""
    x, y, first = rows_of("fewer rows than dimensions")
    alpha = share * x.var(axis=0).mean() * first
    out = np.arange(0, 30, 3)
    kept = np.delete(x, out, axis=0) - np.delete(x, out, axis=0).mean(axis=0)
    targets = np.delete(y, out, axis=0)
    # The dual system, which a small λ does not harm.
    dual = np.linalg.solve(kept @ kept.T + alpha * np.eye(20), targets - targets.mean(axis=0))
    asked = x[out] - np.delete(x, out, axis=0).mean(axis=0)
    expected = asked @ kept.T @ dual + targets.mean(axis=0)
    found = without(Smoother.of(x, y, first), out, alpha, out)
    assert np.abs(found - expected).max() < 1e-14 / share * np.abs(expected).max()
