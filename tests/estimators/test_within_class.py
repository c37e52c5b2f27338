import numpy as np
import pytest
from scipy.linalg import eigh, fractional_matrix_power
from tests.helpers import CASES, assert_close, make, moments_of

from intertwine.errors import InputError
from intertwine.estimators import cca
from intertwine.estimators.within_class import WithinClass, half_whitened, within_whitenings
from intertwine.moments.moments import Moments


def classes(n, seed=3):
    """Return the class of each row: some of one row, some of several."""
    return np.random.default_rng(seed).integers(n // 2, size=n)


def naive_within(x, labels):
    """Return the covariance within classes, class by class, from `numpy.cov`."""
    total, freedom = np.zeros((x.shape[1], x.shape[1])), 0
    for label in np.unique(labels):
        rows = x[labels == label]
        if len(rows) > 1:
            total += np.atleast_2d(np.cov(rows, rowvar=False)) * (len(rows) - 1)
            freedom += len(rows) - 1
    return total / freedom


def within_of(a, b, labels):
    """Return what an estimator needs of the rows within classes."""
    sizes = np.bincount(labels)
    kept = sizes[labels] > 1
    moved = []
    for x in (a, b):
        means = np.zeros((len(sizes), x.shape[1]))
        np.add.at(means, labels, x)
        moved.append((x - (means / np.maximum(sizes, 1)[:, None])[labels])[kept])
    return WithinClass(moments_of(*moved), int((sizes > 1).sum()))


def penalised(x, labels, weight, alpha):
    """Return K of one space, from its rows."""
    centred = x - x.mean(axis=0)
    spread = weight * len(x) * naive_within(x, labels) if weight else 0
    return centred.T @ centred + spread + alpha * np.eye(x.shape[1])


def whitenings_of(a, b, labels, *, weight=1.0, alpha=2.0):
    """Return moments and whitenings of one λ."""
    moments = moments_of(a, b)
    found = within_whitenings(
        moments, ["a", "b"], within_of(a, b, labels), weight=weight, alphas=[alpha]
    )
    return moments, found[alpha]


def test_the_covariance_within_classes_is_numpys():
    """C_w pools the covariances that NumPy gives class by class."""
    a, b = make("tall")
    labels = classes(len(a))
    found = within_of(a, b, labels)
    assert_close(found.covariance("a"), naive_within(a, labels), 1e-12)
    assert_close(found.covariance("b"), naive_within(b, labels), 1e-12)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("case", ["tall", "to more", "dead", "duplicated", "constant"])
def test_half_whitened_against_scipys_matrix_powers(case, weight):
    """The map is its formula, computed from rows with SciPy's fractional powers."""
    a, b = make(case)
    labels = classes(len(a))
    _, whitenings = whitenings_of(a, b, labels, weight=weight)
    found = half_whitened("a", ["b"], whitenings)["b"]
    cross = (b - b.mean(axis=0)).T @ (a - a.mean(axis=0))
    half = fractional_matrix_power(penalised(b, labels, weight, 2.0), -0.5)
    expected = half @ cross @ np.linalg.inv(penalised(a, labels, weight, 2.0))
    unit = b.mean(axis=0) / np.linalg.norm(b.mean(axis=0))
    expected = expected - np.outer(unit, unit) @ expected
    assert_close(found.weight, expected, 1e-8)
    assert_close(found.bias, -expected @ a.mean(axis=0), 1e-8)


@pytest.mark.parametrize("case", CASES)
def test_a_mapped_row_has_no_part_along_the_targets_mean(case):
    """What every target row shares adds nothing to a score, and no case gives a NaN."""
    a, b = make(case)
    labels = np.zeros(len(a), int)
    _, whitenings = whitenings_of(a, b, labels, alpha=0.5)
    mapped = half_whitened("a", ["b"], whitenings)["b"].apply(a)
    bound = 1e-9 * np.linalg.norm(b.mean(axis=0)) * max(np.abs(mapped).max(), 1e-300)
    assert np.abs(mapped @ b.mean(axis=0)).max() <= max(bound, 1e-9)


def test_mapped_rows_have_the_length_of_canonical_coordinates():
    """About a target mean of zero the map only turns canonical correlation's source coordinates."""
    a, b = make("tall")
    b = b - b.mean(axis=0)
    labels = classes(len(a))
    moments, whitenings = whitenings_of(a, b, labels)
    turned = half_whitened("a", ["b"], whitenings)["b"].apply(a)
    pair = cca(moments, "a", ["b"], alpha=2.0, whitenings=dict(whitenings))["b"]
    lengths = np.linalg.norm(pair.source.apply(a), axis=1) / np.sqrt(len(a))
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), lengths, rtol=1e-8)


def test_canonical_correlations_under_the_penalty_solve_the_eigenproblem():
    """With these whitenings CCA's correlations are SciPy's, of K in place of S."""
    a, b = make("tall")
    labels = classes(len(a))
    moments, whitenings = whitenings_of(a, b, labels)
    pair = cca(moments, "a", ["b"], alpha=2.0, whitenings=dict(whitenings))["b"]
    cross = (a - a.mean(axis=0)).T @ (b - b.mean(axis=0))
    k_a, k_b = (penalised(x, labels, 1.0, 2.0) for x in (a, b))
    squares = eigh(cross @ np.linalg.solve(k_b, cross.T), k_a, eigvals_only=True)[::-1]
    found = np.array(pair.source.info["correlations"])
    np.testing.assert_allclose(found, np.sqrt(np.maximum(squares[: len(found)], 0)), atol=2e-6)


def test_without_weight_the_penalty_is_ridges():
    """A weight of 0 gives canonical correlation as it always was."""
    a, b = make("tall")
    moments, whitenings = whitenings_of(a, b, classes(len(a)), weight=0.0)
    found = cca(moments, "a", ["b"], alpha=2.0, whitenings=dict(whitenings))["b"]
    plain = cca(moments, "a", ["b"], alpha=2.0)["b"]
    np.testing.assert_allclose(found.source.weight, plain.source.weight, atol=1e-12)


def test_bad_penalties_are_refused():
    """A negative weight and a λ of zero are refused by value."""
    a, b = make("tall")
    moments, within = moments_of(a, b), within_of(a, b, classes(len(a)))
    with pytest.raises(InputError, match="got a within-class weight of -1, expected a number"):
        within_whitenings(moments, ["a"], within, weight=-1, alphas=[1.0])
    with pytest.raises(InputError, match=r"got alphas \[1.0, 0.0\], expected numbers above 0"):
        within_whitenings(moments, ["a"], within, weight=1, alphas=[1, 0])


def test_too_few_rows_are_refused():
    """Moments of one row, and classes of one row each, fit nothing."""
    a, b = make("tall")
    single = moments_of(a[:1], b[:1])
    with pytest.raises(InputError, match="got n = 1 row, expected at least 2"):
        within_whitenings(single, ["a"], WithinClass(single, 0), weight=0, alphas=[1.0])
    empty = WithinClass(Moments({"a": 12, "b": 7}), 0)
    with pytest.raises(InputError, match="got 0 rows of 0 classes, expected a class with at least"):
        within_whitenings(moments_of(a, b), ["a"], empty, weight=1, alphas=[1.0])
