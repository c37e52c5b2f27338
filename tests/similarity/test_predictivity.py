from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import r2_score
from tests.helpers import CASES, make, moments_of

from intertwine.errors import InputError, SpaceMismatchError
from intertwine.estimators import identity, mean_vector, ridge
from intertwine.moments import Moments
from intertwine.similarity import r_squared
from intertwine.spaces import Space


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
    with pytest.raises(InputError, match=f"b does not vary over {n} rows: R² is undefined"):
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
