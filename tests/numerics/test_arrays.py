import sys

import array_api_compat
import numpy as np
import pytest
from scipy import sparse
from tests.helpers import array_in

from intertwine.errors import InputError
from intertwine.numerics.arrays import (
    as_features,
    check_finite,
    like,
    namespace,
    resolve_precision,
    smallest,
    to_device,
    to_numpy,
    unit_rows,
)


class FakeCuPy:
    """What a CuPy array looks like from outside."""

    def get(self):
        """Return the numbers in host memory."""
        return np.arange(3.0)


def test_numpy_arrays_pass_unchanged():
    """A NumPy array comes back as itself."""
    array = np.eye(2)
    assert to_numpy(array) is array


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_torch_tensors_are_not_copied(dtype):
    """A torch tensor in host memory comes back as NumPy over the same memory."""
    import torch

    tensor = torch.ones((2, 3), dtype=getattr(torch, dtype))
    array = to_numpy(tensor)
    tensor[0, 0] = 5
    assert array[0, 0] == 5
    assert str(array.dtype) == dtype


def test_bfloat16_is_widened():
    """Bfloat16, which NumPy lacks, becomes float32 with the same values."""
    import torch

    array = to_numpy(torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
    assert array.dtype == np.float32
    assert array.tolist() == [1.5, -2.0]


def test_tensors_with_gradients_are_detached():
    """A tensor that carries a gradient is read all the same."""
    import torch

    assert to_numpy(torch.ones(2, requires_grad=True)).tolist() == [1, 1]


def test_cupy_arrays_come_from_the_device(monkeypatch):
    """A CuPy array is fetched to host memory."""
    monkeypatch.setattr(array_api_compat, "is_cupy_array", lambda a: isinstance(a, FakeCuPy))
    assert to_numpy(FakeCuPy()).tolist() == [0, 1, 2]


def test_lists_are_arrays_too():
    """A nested list of numbers becomes an array."""
    assert to_numpy([[1, 2]]).shape == (1, 2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_features_keep_their_dtype(dtype):
    """Floating-point features are not converted."""
    array = np.ones((2, 3), dtype)
    assert as_features(array, name="a") is array


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_whole_numbers_become_float64(dtype):
    """Integers and booleans become float64."""
    features = as_features(np.ones((2, 3), dtype), name="a")
    assert features.dtype == np.float64
    assert features.sum() == 6


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(3), r"a: got an array of shape \(3,\), expected two dimensions \(n, d\)"),
        (np.ones((1, 2, 3)), r"a: got an array of shape \(1, 2, 3\)"),
        (np.float64(3), r"a: got an array of shape \(\)"),
        (np.ones((4, 0)), "a: got dimension d = 0"),
        (np.ones((4, 3)), "a: got dimension 3, expected 2"),
        (np.ones((4, 2), complex), "a: got dtype complex128, expected float16"),
        (np.array([["x", "y"]]), "a: got dtype <U1"),
        (np.array([[None, 1]]), "a: got dtype object"),
        ([[1.0, 2.0], [3.0]], "a: cannot be read as an array"),
    ],
)
def test_what_is_no_features_is_refused(array, message):
    """Anything but (n, d) numbers is refused with what was got."""
    with pytest.raises(InputError, match=message):
        as_features(array, name="a", dim=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_with_nan_or_infinity_are_named(dtype, bad):
    """The error names the space and the rows that are not finite."""
    features = np.ones((20, 3), dtype)
    features[[4, 7], [0, 2]] = bad
    with pytest.raises(InputError, match="a: NaN or infinite features in rows 104, 107; remove"):
        check_finite(features, name="a", rows=100)


def test_opposite_infinities_do_not_hide_each_other():
    """Infinities of both signs, and sums that overflow, are told apart."""
    with pytest.raises(InputError, match="in rows 0; remove"):
        check_finite(np.array([[np.inf, -np.inf]]), name="a")
    check_finite(np.full((4, 4), np.finfo(np.float64).max), name="a")


@pytest.mark.parametrize("rows", [range(50, 60), np.arange(50, 60)])
def test_rows_may_have_numbers_of_their_own(rows):
    """Row numbers given as a sequence are the ones in the error; many are cut to five."""
    features = np.full((10, 1), np.nan)
    with pytest.raises(InputError, match="rows 50, 51, 52, 53, 54 and 5 more"):
        check_finite(features, name="a", rows=rows)


def test_empty_arrays_are_finite():
    """An array of no rows has nothing to complain about."""
    check_finite(np.ones((0, 3)), name="a")


@pytest.mark.parametrize(
    ("precision", "dim", "n_rows", "expected"),
    [
        ("float64", 10**5, 10**9, "float64"),
        ("float32", 2, 3, "float32"),
        ("fast", 2, 3, "fast"),
        ("auto", 4096, 200_000, "float64"),
        ("auto", 4097, 10, "float32"),
        ("auto", 10, 200_001, "float32"),
        ("auto", 10, None, "float64"),
    ],
)
def test_auto_precision_follows_the_rule(precision, dim, n_rows, expected):
    """`auto` is float64 up to a joint dimension of 4,096 and 200,000 rows."""
    assert resolve_precision(precision, dim=dim, n_rows=n_rows) == expected


def test_other_precisions_are_refused():
    """A precision that is unknown is refused by name."""
    with pytest.raises(InputError, match="got precision 'double', expected one of auto, float64"):
        resolve_precision("double", dim=2, n_rows=2)


def test_numbers_follow_another_array():
    """NumPy numbers become what another array is: of its library, a copy; NumPy stays itself."""
    import torch

    array = np.arange(4.0)
    assert like(array, np.ones(2)) is array
    assert like(array, [1, 2]) is array
    tensor = like(array, torch.ones(2, dtype=torch.float32))
    assert tensor.dtype == torch.float64
    tensor[0] = 9
    assert array[0] == 0
    assert namespace(tensor) is not namespace(array)


def test_the_cpu_is_numpy():
    """Device cpu leaves a NumPy array as itself."""
    array = np.eye(2)
    assert to_device(array, "cpu") is array


@pytest.mark.parametrize("device", ["gpu", "cuda0", "cuda:", "cuda:-1", "cpu:0", ""])
def test_unknown_devices_are_refused(device):
    """A name that is no device is answered with those there are."""
    with pytest.raises(InputError, match=f"got device '{device}', expected cpu, cuda or cuda:N"):
        to_device(np.eye(2), device)


@pytest.mark.parametrize(("device", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_absent_devices_are_refused(device, count, monkeypatch):
    """A device that torch does not see is no device."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(InputError, match=f"got device '{device}', but torch .* {count} CUDA"):
        to_device(np.eye(2), device)


def test_a_device_without_torch_is_refused(monkeypatch):
    """Where torch is not installed the error says so."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="needs torch, and torch is not installed; use cpu"):
        to_device(np.eye(2), "cuda")


def test_tensors_reach_the_device(monkeypatch):
    """On a machine with devices the array is handed to torch with the device's name."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    asked = {}
    monkeypatch.setattr(torch, "asarray", lambda array, **options: asked.update(options) or array)
    assert to_device(np.eye(2), "cuda:1").tolist() == [[1, 0], [0, 1]]
    assert asked["device"] == "cuda:1"


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_the_smallest_come_in_rising_order(library):
    """Selection gives the head of a sort, row by row, in every library."""
    rng = np.random.default_rng(0)
    numbers = np.stack([rng.permutation(50) for _ in range(6)])
    for count in (1, 7, 50):
        got = to_numpy(smallest(array_in(library, numbers), count))
        assert (got == np.sort(numbers, axis=1)[:, :count]).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_rows_are_scaled_to_norm_one(dtype, size):
    """Whatever their norm and dtype, rows come back in float64, of norm 1 and the same direction."""
    rows = (size * np.random.default_rng(0).standard_normal((5, 7))).astype(dtype)
    unit = unit_rows(rows, name="a")
    assert unit.dtype == np.float64
    wide = rows.astype(np.float64)
    np.testing.assert_allclose(unit, wide / np.linalg.norm(wide, axis=1)[:, None], rtol=1e-14)


def test_extreme_norms_keep_their_direction():
    """Rows whose squares overflow or vanish are scaled all the same."""
    rows = np.array([[3e200, 4e200], [3e-200, -4e-200]])
    np.testing.assert_allclose(unit_rows(rows, name="a"), [[0.6, 0.8], [0.6, -0.8]])


@pytest.mark.parametrize(("rows", "shown"), [(10, 11), (np.array([4, 9]), 9)])
def test_a_row_without_direction_is_named(rows, shown):
    """A row of zeros is refused by its number."""
    with pytest.raises(InputError, match=f"a: row {shown} has length zero"):
        unit_rows(np.array([[1.0, 0], [0, 0]]), name="a", rows=rows)


def test_arrays_with_holes_are_refused():
    """Masked and sparse arrays are told from arrays that can be read, in one line each."""
    import torch

    masked = np.ma.masked_array(np.eye(3), mask=np.eye(3))
    with pytest.raises(InputError, match=r"a: got a masked array with 3 masked numbers"):
        as_features(masked, name="a")
    with pytest.raises(InputError, match=r"a: got a sparse csr_array of shape \(3, 4\), expected"):
        as_features(sparse.csr_array(np.eye(3, 4)), name="a")
    with pytest.raises(InputError, match=r"a: got a sparse Tensor of shape \(3, 4\), expected a"):
        as_features(torch.eye(3, 4).to_sparse(), name="a")
