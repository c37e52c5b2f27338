import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from tests.helpers import assert_close, make

from intertwine.errors import InputError
from intertwine.estimators import ALPHAS, cca, procrustes, reduced_rank, ridge
from intertwine.estimators.sklearn import CCAMap, ProcrustesMap, ReducedRankMap, RidgeMap
from intertwine.maps.linear_map import LinearMap
from intertwine.moments.moments import Moments

ESTIMATORS = [
    RidgeMap(),
    RidgeMap("gcv"),
    RidgeMap("gcv-per-target", intercept="none"),
    RidgeMap(0.0, intercept="homogeneous"),
    ReducedRankMap(),
    ReducedRankMap(2, alpha="gcv"),
    ProcrustesMap(),
    ProcrustesMap(scale=True, intercept="none"),
    CCAMap(),
    CCAMap(1, alpha=0.1, power=0.0),
]
A, B = make("tall")


def moments_xy(a, b) -> Moments:
    """Return the moments of spaces called X and y."""
    moments = Moments({"X": a.shape[1], "y": b.shape[1]})
    moments.update({"X": a, "y": b})
    return moments


# One of each class, and ridge with a λ for each target; what options change has tests below.
@parametrize_with_checks(
    [
        RidgeMap(),
        RidgeMap("gcv-per-target", intercept="none"),
        ReducedRankMap(2, alpha="gcv"),
        ProcrustesMap(scale=True, intercept="none"),
        CCAMap(),
    ]
)
def test_estimators_keep_scikit_learns_contract(estimator, check):
    """Every check that scikit-learn has for estimators passes, none is expected to fail."""
    check(estimator)


@pytest.mark.parametrize(
    ("estimator", "function"),
    [
        (RidgeMap(3.0), lambda m: ridge(m, "X", ["y"], alpha=3.0)),
        (
            RidgeMap("gcv", intercept="none", alphas=ALPHAS[::6]),
            lambda m: ridge(m, "X", ["y"], alpha="gcv", intercept="none", alphas=ALPHAS[::6]),
        ),
        (ReducedRankMap(2, alpha=3.0), lambda m: reduced_rank(m, "X", ["y"], rank=2, alpha=3.0)),
        (ProcrustesMap(scale=True), lambda m: procrustes(m, "X", ["y"], scale=True)),
        (CCAMap(3), lambda m: {"y": cca(m, "X", ["y"], rank=3)["y"].to_map()}),
    ],
)
def test_estimators_are_the_functions(estimator, function):
    """An estimator's map is the one that the function gives for the same moments."""
    fitted = clone(estimator).fit(A, B)
    expected = function(moments_xy(A, B))["y"]
    assert isinstance(fitted.map_, LinearMap)
    assert np.array_equal(fitted.map_.weight, expected.weight)
    assert np.array_equal(fitted.coef_, expected.weight)
    assert np.array_equal(fitted.intercept_, expected.bias)
    assert np.array_equal(fitted.predict(A), expected.apply(A))
    assert (fitted.n_features_in_, fitted.moments_.n) == (12, 200)


@pytest.mark.quick("1-estimator6")
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("step", [1, 37, 200])
def test_partial_fit_adds_rows(estimator, step):
    """Rows in parts, single rows even, lead to the map of all rows; `fit` starts again."""
    parts = clone(estimator).fit(A[:50] + 3, B[:50] * 2)
    parts.fit(A[: min(step, 10) + 1], B[: min(step, 10) + 1])
    for start in range(min(step, 10) + 1, 200, step):
        parts.partial_fit(A[start : start + step], B[start : start + step])
    whole = clone(estimator).fit(A, B)
    assert parts.moments_.n == 200
    assert_close(parts.coef_, whole.coef_, 1e-8)
    assert_close(parts.predict(A), whole.predict(A), 1e-8)


def test_partial_fit_waits_for_a_second_row():
    """One row makes no map; the second makes the one of both."""
    estimator = RidgeMap().partial_fit(A[:1], B[:1])
    with pytest.raises(ValueError, match="not fitted yet"):
        estimator.predict(A)
    estimator.partial_fit(A[1:2], B[1:2])
    assert_close(estimator.coef_, RidgeMap().fit(A[:2], B[:2]).coef_, 1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_one_dimensional_targets_stay_one_dimensional(estimator):
    """A y of shape (n,) gives predictions and coefficients without a target axis."""
    flat = clone(estimator).fit(A, B[:, 0])
    column = clone(estimator).fit(A, B[:, :1])
    assert flat.predict(A).shape == (200,)
    assert flat.coef_.shape == (12,)
    assert isinstance(flat.intercept_, float)
    assert np.array_equal(flat.predict(A), column.predict(A)[:, 0])
    assert column.coef_.shape == (1, 12)


def test_targets_may_not_change_between_parts():
    """Another number of targets, or of dimensions of y, is refused until the next `fit`."""
    estimator = RidgeMap().fit(A, B)
    for other in (B[:, :3], B[:, 0]):
        with pytest.raises(InputError, match=r"got y of shape .*, expected the same number of"):
            estimator.partial_fit(A, other)
    assert estimator.moments_.n == 200
    assert estimator.fit(A, B[:, 0]).predict(A).shape == (200,)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_floats_are_taken_as_they_are(dtype):
    """Features in float16 or float32 are not widened before the moments, nor in predictions."""
    a, b = A.astype(dtype), B.astype(dtype)
    fitted = RidgeMap().fit(a, b)
    assert_close(fitted.coef_, RidgeMap().fit(a.astype(float), b.astype(float)).coef_, 1e-12)
    assert fitted.predict(a).dtype == np.float32


def test_what_each_estimator_learns():
    """λ, rank, scale and correlations are attributes."""
    assert RidgeMap("gcv", alphas=ALPHAS).fit(A, B).alpha_ in ALPHAS
    assert RidgeMap("gcv").fit(A, B).notes_ == []
    edge = RidgeMap("gcv", alphas=[1e5, 1e6]).fit(A, B)
    assert edge.notes_[0].startswith("GCV chose the lower edge of the grid, 100000, for 1 of 1")
    assert ReducedRankMap(2, alpha="gcv").fit(A * 0 + 1, B).notes_[-1].endswith("rank 0 of 12")
    reduced = ReducedRankMap(2, alpha=3).fit(A, B)
    assert (reduced.alpha_, reduced.rank_, np.linalg.matrix_rank(reduced.coef_)) == (3.0, 2, 2)
    assert ProcrustesMap().fit(A, B).scale_ == 1
    shared = CCAMap(3, alpha=2).fit(A, B)
    assert shared.alpha_ == 2
    assert shared.correlations_.shape == (3,)


def test_cca_brings_both_sides_together():
    """Both sides are transformed into the shared space, whose columns have names."""
    shared = CCAMap(3, alpha=0.0).fit(A, B)
    left, right = shared.transform(A), shared.transform_target(B)
    assert np.array_equal(left, shared.pair_.source.apply(A))
    correlations = [np.corrcoef(x, y)[0, 1] for x, y in zip(left.T, right.T, strict=True)]
    assert_close(correlations, shared.correlations_, 1e-5)
    assert shared.get_feature_names_out().tolist() == ["ccamap0", "ccamap1", "ccamap2"]
    assert np.array_equal(CCAMap(3, alpha=0.0).fit_transform(A, B), left)
    flat = CCAMap().fit(A, B[:, 0])
    assert flat.transform_target(B[:, 0]).shape == (200, 1)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (RidgeMap(-1), "got alpha -1"),
        (RidgeMap(intercept="yes"), "got intercept 'yes'"),
        (ReducedRankMap(0), "got rank 0"),
        (ProcrustesMap(intercept="homogeneous"), "has no homogeneous form"),
        (CCAMap(alpha="gcv"), "CCA has no GCV"),
    ],
)
def test_options_are_checked_by_fit(estimator, message):
    """An estimator takes any option when made, and refuses a bad one when fitted."""
    with pytest.raises(InputError, match=message):
        estimator.fit(A, B)


def test_estimators_work_inside_scikit_learn():
    """Pipelines and searches take the estimators as they take their own."""
    search = GridSearchCV(
        make_pipeline(StandardScaler(), RidgeMap()), {"ridgemap__alpha": [0.1, 1e5]}, cv=3
    ).fit(A, B)
    assert search.best_params_ == {"ridgemap__alpha": 0.1}


@pytest.mark.slow
def test_the_package_does_not_import_scikit_learn():
    """Importing the estimators leaves scikit-learn alone until its faces are asked for."""
    code = "import sys, intertwine.estimators; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
