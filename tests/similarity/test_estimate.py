import numpy as np
import pytest

from intertwine.similarity.estimate import Estimate, Null


def test_calibration_sets_unrelated_to_zero_and_itself_to_one():
    """The null becomes 0, the best value 1, and what lies between is linear."""
    estimate = Estimate(score=0.6, low=0.5, high=0.7, null=0.2, best=1.0)
    assert not estimate.saturated
    assert [estimate.calibrate(x) for x in (0.2, 1.0, 0.6)] == pytest.approx([0, 1, 0.5])
    assert estimate.calibrate(0.1) == pytest.approx(-0.125)
    assert estimate.calibrate(None) is None


def test_a_row_holds_numbers_and_calibrated_numbers():
    """A report's row has score, interval and null, then the same calibrated."""
    row = Estimate(score=0.6, low=0.5, high=0.7, null=0.2, best=1.0).to_row("cka")
    assert row == pytest.approx(
        {
            "cka": 0.6,
            "cka_low": 0.5,
            "cka_high": 0.7,
            "cka_null": 0.2,
            "cka_calibrated": 0.5,
            "cka_calibrated_low": 0.375,
            "cka_calibrated_high": 0.625,
        }
    )


def test_calibrated_ends_of_a_distance_change_places():
    """Where smaller is more similar the calibrated interval still rises."""
    row = Estimate(score=0.6, low=0.3, high=0.9, null=1.2, best=0.0).to_row("angle")
    assert row["angle_calibrated"] == pytest.approx(0.5)
    assert row["angle_calibrated_low"] == pytest.approx(0.25)
    assert row["angle_calibrated_high"] == pytest.approx(0.75)


@pytest.mark.parametrize(("null", "saturated"), [(1.0, True), (1 - 1e-9, True), (0.99, False)])
def test_a_null_at_the_best_value_leaves_nothing_to_calibrate(null, saturated):
    """Where unrelated spaces already score the best value there is no calibrated score."""
    estimate = Estimate(score=1.0, low=1.0, high=1.0, null=null, best=1.0)
    assert estimate.saturated is saturated
    assert (estimate.calibrate(1.0) is None) is saturated
    assert (estimate.to_row("x")["x_calibrated_high"] is None) is saturated


@pytest.mark.parametrize(("low", "high", "null"), [(None, None, 0.2), (0.5, 0.7, None)])
def test_what_is_undefined_stays_none(low, high, null):
    """Without interval or null the calibrated ends are None, never a guess."""
    estimate = Estimate(score=0.6, low=low, high=high, null=null, best=1.0)
    row = estimate.to_row("x")
    assert row["x_calibrated_low"] is row["x_calibrated_high"] is None
    assert (row["x_calibrated"] is None) == (null is None)
    assert not estimate.saturated


def test_an_undefined_estimate_has_its_reason():
    """Where there is no score every number is None and the reason is told."""
    estimate = Estimate.undefined(1.0, "too few rows")
    assert estimate.reasons == ("too few rows",)
    assert set(estimate.to_row("x").values()) == {None}


def test_a_null_of_draws_knows_its_own_error():
    """The sd is that of one more score about the mean of the draws: s √(1 + 1/draws)."""
    draws = np.random.default_rng(0).standard_normal(10)
    null = Null.of(draws)
    assert null.mean == pytest.approx(draws.mean())
    assert null.sd == pytest.approx(np.std(draws, ddof=1) * np.sqrt(1.1))
    assert Null.of(np.array([0.5])) == Null(0.5, 0.0)
    assert Null.of(np.ones(5)) == Null(1.0, 0.0)
