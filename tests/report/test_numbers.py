import pytest

from intertwine.report import numbers
from intertwine.report.shapes import DASH


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, DASH), (-0.04, "0.0"), (0.0, "0.0"), (-1.25, "−1.2"), (3.26, "+3.3"), (0.01, "0.0")],
)
def test_signed(value, expected):
    """Changes have a true minus or a plus, and zero has neither."""
    assert numbers.signed(value, 1) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, DASH),
        (0.0, "0"),
        (1.0, "1"),
        (1000.0, "1000"),
        (3162.2776, "3160"),
        (0.0316, "0.0316"),
        (1e6, "1·10⁶"),
        (3.16e-5, "3.16·10⁻⁵"),
    ],
)
def test_significant(value, expected):
    """λ is short over its whole range."""
    assert numbers.significant(value) == expected


def test_penalty_with_a_range():
    """With one λ a target, the median comes with its range."""
    row = {"alpha": 10.0, "alpha_min": 0.1, "alpha_max": 1000.0}
    assert numbers.penalty(row) == "10 (0.1 to 1000)"
    assert numbers.penalty(row | {"alpha_min": 10.0, "alpha_max": 10.0}) == "10"
    assert numbers.penalty({}) == DASH


def test_count_groups_thousands():
    """Whole numbers are grouped by narrow spaces that do not break."""
    assert numbers.count(1281167) == "1\u202f281\u202f167"
    assert numbers.count(None) == DASH


def test_interval_is_kept_together():
    """An interval does not break over lines, and is nothing when a side is undefined."""
    assert numbers.interval(-2.0, 1.0, 1) == "−2.0\u00a0to\u00a01.0"
    assert not numbers.interval(None, 1.0, 1)


@pytest.mark.parametrize(("n_eval", "places"), [(None, 1), (9_999, 1), (10_000, 2)])
def test_decimals(n_eval, places):
    """A hundredth of a point is shown only where rows can tell it."""
    assert numbers.decimals(n_eval) == places


@pytest.mark.parametrize(
    ("values", "expected"), [([], None), ([3.0], 3.0), ([4.0, 1.0], 2.5), ([9.0, 1.0, 2.0], 2.0)]
)
def test_median(values, expected):
    """The median of an even number is the mean of the middle two."""
    assert numbers.median(values) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [(None, None), (0.0, 0.0), (-25.0, -0.5), (-100.0, -1.0), (4.0, 0.2), (900.0, 1.0)],
)
def test_shade(change, expected):
    """A shade is the signed square root of the share, never beyond all."""
    assert numbers.shade(change) == expected


def test_undefined_without_a_reason_says_so():
    """An en dash always says something."""
    assert numbers.text_or_reason(DASH, None).note == "not measured"
    assert not numbers.text_or_reason("1", "unused").note
