import numpy as np
import pytest

from intertwine.studies.plan.domain import FLOOR, Domain, compared


def rows(n, seed=0, shift=0.0, spread=1.0):
    """Return vectors of uneven spread."""
    scales = np.linspace(2, 0.1, 12)
    return spread * scales * np.random.default_rng(seed).standard_normal((n, 12)) + shift


def test_leverage_is_its_formula():
    """The leverage is the squared distance under the covariance with a floor, inverted plainly."""
    own, others = rows(80), rows(9, seed=1)
    about = own - own.mean(axis=0)
    covariance = about.T @ about / 80
    inverse = np.linalg.inv(covariance + FLOOR * np.trace(covariance) / 12 * np.eye(12))
    expected = [(x - own.mean(axis=0)) @ inverse @ (x - own.mean(axis=0)) for x in others]
    np.testing.assert_allclose(Domain.of(own).leverage(others), expected)


@pytest.mark.parametrize("n", [50, 100, 1000])
def test_rows_of_one_domain_are_of_one_domain(n):
    """Other rows of the same kind have the leverage of held-out ones, however few there are."""
    found = compared(rows(n), rows(4000, seed=1))
    assert found["ratio"] == pytest.approx(1, abs=0.15)
    assert found["shift"] is False


@pytest.mark.parametrize("other", [{"shift": 1.0}, {"spread": 1.5}])
def test_rows_elsewhere_are_of_another(other):
    """Rows about another mean, or wider ones, have more leverage than held-out ones."""
    found = compared(rows(500), rows(500, seed=1, **other))
    assert found["ratio"] > 1.5
    assert found["shift"] is True


def test_a_narrow_domain_shows_from_its_own_side():
    """Rows well inside another set's are unlike them too: the wide ones have leverage under theirs."""
    wide, narrow = rows(500), rows(500, seed=1, spread=0.3)
    assert compared(wide, narrow)["shift"] is False
    assert compared(narrow, wide)["shift"] is True


def test_the_unit_of_vectors_does_not_matter():
    """Vectors ten times as long have the same ratio."""
    own, others = rows(100), rows(70, seed=1)
    expected = compared(own, others)["ratio"]
    assert compared(10 * own, 10 * others)["ratio"] == pytest.approx(expected)
