import numpy as np
import pytest
from tests.helpers import assert_close
from tests.sums import DIMS, ROWS, add, assert_equals_naive, zeros

from intertwine.errors import InputError
from intertwine.moments.accumulators import blas
from intertwine.moments.accumulators.blas import BlasAccumulator


def added(rows, precision="float64", origin=None):
    """Return the sums over rows about an origin."""
    sums, none = zeros(rows)
    add(BlasAccumulator(sums, origin or none, precision), rows)
    return sums


@pytest.mark.parametrize("slab", [1, 2, 7])
@pytest.mark.parametrize("tile", [1, 2, 3, 4])
def test_tiles_and_slabs_change_nothing(monkeypatch, tile, slab):
    """Products in tiles and sums in slabs of any size are the same sums."""
    monkeypatch.setattr(blas, "TILE", tile)
    monkeypatch.setattr(blas, "DIAGONAL", max(1, tile // 2))
    monkeypatch.setattr(blas, "SLAB_ROWS", slab)
    assert_equals_naive(added(ROWS), ROWS)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_threads_change_no_bit(monkeypatch, precision):
    """Tiles taken on several threads give the bytes that one thread gives."""
    rng = np.random.default_rng(1)
    rows = {name: rng.standard_normal((300, 70)) for name in DIMS}
    alone = added(rows, precision)
    monkeypatch.setattr(blas, "SERIAL_PRODUCTS", 0)
    monkeypatch.setattr(blas, "TILE", 70)
    together = added(rows, precision)
    for pair, total in alone.second.items():
        assert together.second[pair].tobytes() == total.tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float32_products_are_close(dtype):
    """Rows of any type in float32 give float64 sums within float32 rounding."""
    rows = {name: array.astype(dtype) for name, array in ROWS.items()}
    sums = added(rows, "float32")
    assert_equals_naive(sums, {a: x.astype(np.float64) for a, x in rows.items()}, 1e-6)
    assert sums.second["a", "b"].dtype == np.float64


def test_rows_are_taken_about_the_origin():
    """Sums about an origin are those of the differences from it."""
    origin = {name: np.arange(d, dtype=np.float64) for name, d in DIMS.items()}
    differences = {name: array - origin[name] for name, array in ROWS.items()}
    assert_equals_naive(added(ROWS, origin=origin), differences)


def test_blocks_of_other_sizes_follow():
    """A block may be shorter or longer than the one before."""
    sums, origin = zeros(ROWS)
    accumulator = BlasAccumulator(sums, origin, "float64")
    for rows in (slice(0, 7), slice(7, 30), slice(30, 31), slice(31, 40)):
        add(accumulator, {name: array[rows] for name, array in ROWS.items()})
    assert_equals_naive(sums, ROWS)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_pieces_of_a_block_change_no_bit(precision, dtype):
    """Rows written piece by piece, longer than a block if need be, give the bytes of one piece."""
    rows = {name: np.tile(array.astype(dtype), (120, 1)) for name, array in ROWS.items()}
    whole, (sums, origin) = added(rows, precision), zeros(rows)
    accumulator = BlasAccumulator(sums, origin, precision)
    for start, stop in ((0, 1), (1, 70), (70, 4095), (4095, 4800)):
        accumulator.write({name: array[start:stop] for name, array in rows.items()})
    accumulator.close()
    for pair, total in whole.second.items():
        assert sums.second[pair].tobytes() == total.tobytes()
    assert sums.norm_second.tobytes() == whole.norm_second.tobytes()
    for name in rows:
        assert sums.first[name].tobytes() == whole.first[name].tobytes()
        assert sums.norm_cross[name].tobytes() == whole.norm_cross[name].tobytes()


def test_rows_of_all_sizes_have_exact_sums_of_norms():
    """In float32, Σ q z stays within rounding for features from 1e-12 to 1e12: none overflows."""
    for size in (1e-12, 1.0, 1e12):
        rows = {name: size * array for name, array in ROWS.items()}
        assert_equals_naive(added(rows, "float32"), rows, 1e-6)


def test_no_rows():
    """A block of no rows adds nothing."""
    sums = added({name: array[:0] for name, array in ROWS.items()})
    assert sums.n == 0
    assert not sums.pair("a", "b").any()


@pytest.mark.parametrize(
    ("precision", "size", "message"),
    [
        ("float32", 1e18, "b: features are too large for float32 products; use precision float64"),
        ("float32", np.inf, "b: features are too large for float32 products"),
        ("float64", 1e90, "b: features are too large for float64 products; rescale them"),
        ("float64", 1e200, "b: features are too large for float64 products"),
        ("float64", np.nan, "b: features are too large for float64 products"),
    ],
)
def test_products_that_would_overflow_are_refused(precision, size, message):
    """Features whose products, or sums of products, would overflow are refused, and nothing added."""
    sums, origin = zeros(ROWS)
    accumulator = BlasAccumulator(sums, origin, precision)
    add(accumulator, ROWS)
    before = sums.pair("b", "b").copy()
    large = {name: np.full((40, d), 1.0) for name, d in DIMS.items()}
    large["b"][:] = size
    with pytest.raises(InputError, match=message):
        add(accumulator, large)
    assert_close(sums.pair("b", "b"), before, 0)
    assert sums.n == 40


@pytest.mark.parametrize(("precision", "size"), [("float32", 1e17), ("float64", 1e70)])
def test_large_features_that_fit_are_taken(precision, size):
    """Features just below the limit give finite sums."""
    sums = added({"a": np.full((40, 5), size)}, precision)
    assert np.isfinite(sums.pair("a", "a")).all()
    assert np.isfinite(sums.norm_second).all()
