import numpy as np
import pytest
from tests.helpers import assert_close

from intertwine import sums as module
from intertwine.errors import InputError
from intertwine.sums import Sums

DIMS = {"a": 5, "b": 3, "c": 1}
RNG = np.random.default_rng(0)
ROWS = {name: RNG.standard_normal((40, d)) + RNG.uniform(-3, 3, d) for name, d in DIMS.items()}


def sums_of(rows) -> Sums:
    """Return the sums over rows taken as they are."""
    sums = Sums.zeros({name: array.shape[1] for name, array in rows.items()})
    sums.add_block(rows)
    return sums


def assert_equals_naive(sums: Sums, rows, tolerance: float = 1e-13) -> None:
    """Check every sum against plain loops over rows."""
    names = list(rows)
    n = len(rows[names[0]])
    norms = np.array([[row @ row for row in rows[name]] for name in names])
    assert (sums.n, list(sums.names)) == (n, names)
    assert_close(sums.norm_first, sum(norms.T), tolerance)
    assert_close(sums.norm_second, sum(np.outer(q, q) for q in norms.T), tolerance)
    for a in names:
        assert_close(sums.first[a], sum(rows[a]), tolerance)
        cross = sum(np.outer(norms[:, i], rows[a][i]) for i in range(n))
        assert_close(sums.norm_cross[a], cross, tolerance)
        assert_close(sums.diagonal(a), sum(rows[a] ** 2), tolerance)
        for b in names:
            naive = sum(np.outer(x, y) for x, y in zip(rows[a], rows[b], strict=True))
            assert_close(sums.pair(a, b), naive, tolerance)


def test_sums_are_those_of_plain_loops():
    """Every sum equals the one that a loop over rows gives."""
    assert_equals_naive(sums_of(ROWS), ROWS)


@pytest.mark.parametrize("tile", [1, 2, 3, 4])
def test_tiles_change_nothing(monkeypatch, tile):
    """Products in tiles of any size are the same products."""
    monkeypatch.setattr(module, "TILE", tile)
    assert_equals_naive(sums_of(ROWS), ROWS)


def test_float32_products_are_close():
    """Rows in float32 give float64 sums within float32 rounding."""
    sums = sums_of({name: array.astype(np.float32) for name, array in ROWS.items()})
    assert_equals_naive(sums, ROWS, 1e-6)
    assert sums.second["a", "b"].dtype == np.float64


def test_no_rows():
    """A block of no rows adds nothing."""
    sums = sums_of(ROWS)
    sums.add_block({name: array[:0] for name, array in ROWS.items()})
    assert_equals_naive(sums, ROWS)


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


@pytest.mark.parametrize(
    ("dtype", "size", "message"),
    [
        (np.float32, 1e19, "b: features are too large for float32 products; use precision float64"),
        # No single product overflows, their sum over rows would.
        (np.float32, 1e18, "b: features are too large for float32 products"),
        (np.float32, np.inf, "b: features are too large for float32 products"),
        (np.float64, 1e90, "b: features are too large for float64 products; rescale them"),
        (np.float64, 1e200, "b: features are too large for float64 products"),
        (np.float64, np.nan, "b: features are too large for float64 products"),
    ],
)
def test_products_that_would_overflow_are_refused(dtype, size, message):
    """Features whose products, or sums of products, would overflow are refused, and nothing added."""
    sums = sums_of(ROWS)
    large = {name: np.full((40, d), 1, dtype) for name, d in DIMS.items()}
    large["b"][:] = dtype(size)
    with pytest.raises(InputError, match=message):
        sums.add_block(large)
    assert_equals_naive(sums, ROWS)


def test_large_features_that_fit_are_taken():
    """Features just below the limit give finite sums."""
    for dtype, size in ((np.float32, 1e17), (np.float64, 1e70)):
        sums = sums_of({"a": np.full((40, 5), size, dtype)})
        assert np.isfinite(sums.pair("a", "a")).all()
        assert np.isfinite(sums.norm_second).all()
