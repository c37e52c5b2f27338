import numpy as np
import pytest
from tests.sums import DIMS, ROWS, add, assert_equals_naive, zeros

from intertwine.moments.accumulators.blas import BlasAccumulator
from intertwine.moments.accumulators.sums import Sums

RNG = np.random.default_rng(0)


def sums_of(rows) -> Sums:
    """Return the sums over rows taken as they are."""
    sums, origin = zeros(rows)
    add(BlasAccumulator(sums, origin, "float64"), rows)
    return sums


def test_sums_are_those_of_plain_loops():
    """Every sum equals the one that a loop over rows gives."""
    assert_equals_naive(sums_of(ROWS), ROWS)


@pytest.mark.parametrize("names", [["c", "a"], ["b"], ["b", "c", "a"]])
def test_selected_sums_are_those_of_the_spaces(names):
    """Sums of some spaces, in any order, are what those spaces alone would give."""
    sums = sums_of(ROWS)
    chosen = sums.select(names)
    assert_equals_naive(chosen, {name: ROWS[name] for name in names})
    for pair in chosen.second:
        chosen.second[pair] += 1
    assert_equals_naive(sums, ROWS)


def test_sums_add_and_subtract():
    """Sums of two parts add to those of the whole, and subtract to those of the other part."""
    first = sums_of({name: array[:11] for name, array in ROWS.items()})
    rest = {name: array[11:] for name, array in ROWS.items()}
    first.combine(sums_of(rest), 1)
    assert_equals_naive(first, ROWS)
    first.combine(sums_of({name: array[:11] for name, array in ROWS.items()}), -1)
    assert_equals_naive(first, rest)


@pytest.mark.parametrize("size", [0.0, 1.0, 100.0])
def test_another_origin_gives_the_sums_of_moved_rows(size):
    """Sums about another origin are those of the rows that were moved there, norms included."""
    delta = {name: size * RNG.standard_normal(d) for name, d in DIMS.items()}
    moved = {name: array + delta[name] for name, array in ROWS.items()}
    sums = sums_of(ROWS)
    assert_equals_naive(sums.shifted(delta), moved, 1e-12)
    assert_equals_naive(sums, ROWS)


def test_moving_there_and_back_changes_nothing():
    """Two opposite moves of the origin cancel."""
    delta = {name: RNG.standard_normal(d) for name, d in DIMS.items()}
    back = {name: -array for name, array in delta.items()}
    assert_equals_naive(sums_of(ROWS).shifted(delta).shifted(back), ROWS, 1e-12)
