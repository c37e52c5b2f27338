"""Torch devices: run here on the processor, with the very code that a GPU runs."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from tests.helpers import assert_close, covering
from tests.sums import ROWS, add, assert_equals_naive, zeros

from intertwine.errors import InputError
from intertwine.moments.accumulators import gpu as device_tiles
from intertwine.moments.accumulators import gpu as row_buffer
from intertwine.moments.accumulators import precisions
from intertwine.moments.accumulators.blas import BlasAccumulator
from intertwine.moments.accumulators.gpu import TorchAccumulator
from intertwine.moments.accumulators.halves import rounded, split
from intertwine.moments.accumulators.precisions import Products
from intertwine.moments.moments import Moments

RNG = np.random.default_rng(2)
WIDE = {
    name: RNG.standard_normal((500, d)) @ RNG.standard_normal((d, d)) + 1
    for name, d in {"a": 33, "b": 20}.items()
}
ORIGIN = {
    name: array[:100].mean(axis=0).astype(np.float32).astype(float) for name, array in WIDE.items()
}


@dataclass(frozen=True)
class OnProcessors(Products):
    """Products of a GPU, or of several, taken by processors in their place."""

    device: str = "cuda"
    count: int = 1

    def devices(self):
        """Return processors."""
        import torch

        return [torch.device("cpu")] * self.count


def added(rows, products, origin=ORIGIN, cuts=(0, 200, 500)):
    """Return the sums over rows that come in blocks."""
    sums, _ = zeros(rows)
    accumulator = TorchAccumulator(sums, origin, products)
    for start, stop in pairwise(cuts):
        add(accumulator, {name: array[start:stop] for name, array in rows.items()})
    accumulator.collect()
    return sums


def by_blas(rows, precision="float64"):
    """Return the sums over the same rows from NumPy."""
    sums, _ = zeros(rows)
    add(BlasAccumulator(sums, ORIGIN, precision), rows)
    return sums


def assert_same_sums(got, expected, tolerance):
    """Check every sum against those of another accumulator."""
    assert got.n == expected.n
    assert_close(got.norm_first, expected.norm_first, tolerance)
    assert_close(got.norm_second, expected.norm_second, tolerance)
    for a in expected.names:
        assert_close(got.first[a], expected.first[a], 10 * tolerance)
        assert_close(got.norm_cross[a], expected.norm_cross[a], 10 * tolerance)
        for b in expected.names:
            assert_close(got.pair(a, b), expected.pair(a, b), tolerance)


@pytest.mark.quick("float32-float64-1-3")
@pytest.mark.parametrize(
    ("precision", "dtype", "widest", "count"),
    covering(["float64", "float32"], [np.float16, np.float32, np.float64], [1, 2, 7, 512], [1, 3]),
)
def test_devices_add_what_blas_adds(monkeypatch, precision, dtype, widest, count):
    """Any number of devices, tiles of any width and features of any type give the sums of NumPy."""
    monkeypatch.setitem(device_tiles.WIDEST, "cpu", widest)
    rows = {name: array.astype(dtype) for name, array in WIDE.items()}
    sums = added(rows, OnProcessors(precision, count=count))
    tolerance = 1e-13 if precision == "float64" else 1e-6
    assert_same_sums(sums, by_blas({a: x.astype(float) for a, x in rows.items()}), tolerance)


def test_sums_are_those_of_plain_loops():
    """Every sum equals the one that a loop over rows gives."""
    sums, origin = zeros(ROWS)
    accumulator = TorchAccumulator(sums, origin, OnProcessors("float64"))
    add(accumulator, ROWS)
    accumulator.collect()
    accumulator.collect()
    assert_equals_naive(sums, ROWS)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("cuts", [(0, 500), (0, 1, 300, 500)])
def test_float16_features_are_multiplied_exactly(cuts, count):
    """Unshifted float16 features give the float64 sums but for float32's rounding of the totals."""
    rows = {name: array.astype(np.float16) for name, array in WIDE.items()}
    sums = added(rows, OnProcessors("fast", count=count), cuts=cuts)
    assert_same_sums(sums, by_blas({a: x.astype(float) for a, x in rows.items()}), 1e-6)


def test_collecting_twice_counts_once():
    """Sums collected between blocks are those of one collection at the end."""
    rows = {name: array.astype(np.float16) for name, array in WIDE.items()}
    sums, _ = zeros(rows)
    accumulator = TorchAccumulator(sums, ORIGIN, OnProcessors("fast"))
    for start, stop in ((0, 130), (130, 131), (131, 500)):
        add(accumulator, {name: array[start:stop] for name, array in rows.items()})
        accumulator.collect()
        accumulator.collect()
    assert_same_sums(sums, by_blas({a: x.astype(float) for a, x in rows.items()}), 1e-6)


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize(("halves", "tolerance"), [(1, 2.0**-8), (2, 2.0**-15), (3, 2.0**-20)])
def test_halves_reach_the_error_they_promise(halves, tolerance):
    """Features split in one, two or three halves give sums within that many halves' rounding."""
    products = Products("fast", fast_error=precisions.HALF_ERRORS[halves - 1])
    assert products.halves == halves
    assert_same_sums(added(WIDE, products), by_blas(WIDE), tolerance)


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize("halves", [1, 2])
def test_all_sums_are_of_the_same_rounded_rows(halves):
    """What fast adds up is, to float32's rounding, one and the same data in every sum."""
    import torch

    products = Products("fast", fast_error=precisions.HALF_ERRORS[halves - 1])
    kept = {}
    for name, array in WIDE.items():
        difference = torch.from_numpy((array - ORIGIN[name]).astype(np.float32))
        kept[name] = rounded(difference, halves).double().numpy() + ORIGIN[name]
    assert_same_sums(added(WIDE, products), by_blas(kept), 1e-6)


@pytest.mark.parametrize("halves", [1, 2, 3])
def test_halves_add_up(halves):
    """The halves of a rounded number add up to it exactly."""
    import torch

    z = rounded(torch.from_numpy(RNG.standard_normal((50, 40)).astype(np.float32)), halves)
    parts = split(z, halves)
    assert len(parts) == halves
    assert all(part.dtype == torch.bfloat16 for part in parts)
    whole = sum(part.double() for part in parts)
    assert (whole - z.double()).abs().max() <= (2.0**-24 if halves == 3 else 0)


def test_blocks_wait_for_one_product(monkeypatch):
    """Blocks are joined to one product until the buffer has no room for another."""
    monkeypatch.setitem(row_buffer.FLUSH_BLOCKS, "cpu", 2)
    widths = []
    plain = device_tiles.DeviceTiles.add
    monkeypatch.setattr(
        device_tiles.DeviceTiles, "add", lambda s, z: (widths.append(z.shape[1]), plain(s, z))
    )
    rows = {name: np.tile(array, (30, 1)) for name, array in WIDE.items()}
    sums = added(rows, OnProcessors("float32"), cuts=(0, 4096, 4196, 8292, 12388, 15000))
    assert widths == [4196, 8192, 2612]
    assert_same_sums(sums, by_blas(rows), 1e-6)


def test_a_mean_far_above_the_spread_is_refused():
    """Unshifted products of features whose mean drowns their spread are refused by name."""
    rows = {
        name: (array + (3000 if name == "b" else 0)).astype(np.float16)
        for name, array in WIDE.items()
    }
    origin = {name: array.mean(axis=0, dtype=float) for name, array in rows.items()}
    with pytest.raises(InputError, match="b: its mean is more than 30 times its spread"):
        added(rows, OnProcessors("fast"), origin=origin)


def test_types_may_not_change_on_the_way():
    """Float32 features after unshifted float16 ones are refused."""
    sums, _ = zeros(WIDE)
    accumulator = TorchAccumulator(sums, ORIGIN, OnProcessors("fast"))
    add(accumulator, {name: array.astype(np.float16) for name, array in WIDE.items()})
    with pytest.raises(InputError, match="float16 features first and wider ones now"):
        add(accumulator, {name: array.astype(np.float32) for name, array in WIDE.items()})


@pytest.mark.usefixtures("units")
def test_overflow_adds_nothing():
    """Features too large for float32 products are refused, and what was there stays."""
    sums, _ = zeros(WIDE)
    accumulator = TorchAccumulator(sums, ORIGIN, Products("fast"))
    add(accumulator, WIDE)
    with pytest.raises(InputError, match="b: features are too large for fast products"):
        add(accumulator, {**WIDE, "b": WIDE["b"] * 1e18})
    accumulator.collect()
    assert_same_sums(sums, by_blas(WIDE), 2.0**-8)


@pytest.mark.parametrize("tensors", [False, True])
def test_moments_on_a_device(monkeypatch, tensors):
    """Moments of a device take arrays and tensors alike, in any chunks, and are those of NumPy."""
    import torch

    monkeypatch.setattr(Products, "require", lambda _: None)
    monkeypatch.setattr(Products, "devices", lambda _: [torch.device("cpu")])
    moments = Moments({"a": 33, "b": 20}, precision="float64", device="cuda")
    for start, stop in ((0, 3), (3, 400), (400, 500)):
        rows = {name: array[start:stop] for name, array in WIDE.items()}
        moments.update({a: torch.from_numpy(x) for a, x in rows.items()} if tensors else rows)
    expected = Moments({"a": 33, "b": 20}, precision="float64")
    expected.update(WIDE)
    assert_close(moments.scatter("a", "b"), expected.scatter("a", "b"), 1e-12)
    assert_close(moments.mean("b"), expected.mean("b"), 1e-13)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_rows_on_a_device_are_named(monkeypatch, bad):
    """A tensor with NaN or infinity is refused, naming space and row."""
    import torch

    monkeypatch.setattr(Products, "require", lambda _: None)
    moments = Moments({"a": 4}, precision="float64", device="cuda")
    rows = torch.ones((9, 4))
    rows[5, 2] = bad
    with pytest.raises(InputError, match="a: NaN or infinite features in rows 5"):
        moments.update({"a": rows})


def test_a_processor_without_units_is_told(monkeypatch):
    """Precision fast without matrix units is one clear line."""
    monkeypatch.setattr(precisions, "matrix_units", list)
    moments = Moments({"a": 2}, precision="fast")
    with pytest.raises(InputError, match="needs a processor with AMX or AVX-512-BF16"):
        moments.update({"a": np.ones((3, 2))})


def test_an_error_out_of_reach_is_refused():
    """A fast error below what three halves reach is refused."""
    with pytest.raises(InputError, match=r"got fast error 1e-09, expected at least 6\.0e-08"):
        Products("fast", fast_error=1e-9).require()


@pytest.mark.parametrize("device", ["cuda:99", "mps"])
def test_a_device_that_is_not_there_is_refused(device):
    """A device that torch does not see is refused before any row is read."""
    with pytest.raises(InputError, match=f"got device '{device}'"):
        Products("float32", device).require()


@pytest.fixture
def units(monkeypatch):
    """Run `fast` whether or not this processor has the units: the numbers are the same."""
    monkeypatch.setattr(precisions, "matrix_units", lambda: ["AMX"])
