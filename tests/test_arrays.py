import array_api_compat
import numpy as np
import pytest
import torch

from intertwine.arrays import as_features, check_finite, resolve_precision, to_numpy
from intertwine.errors import InputError


class FakeCuPy:
    """What a CuPy array looks like from outside."""

    def get(self):
        """Return the numbers in host memory."""
        return np.arange(3.0)


def test_numpy_arrays_pass_unchanged():
    """A NumPy array comes back as itself."""
    array = np.eye(2)
    assert to_numpy(array) is array


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64])
def test_torch_tensors_are_not_copied(dtype):
    """A torch tensor in host memory comes back as NumPy over the same memory."""
    tensor = torch.ones((2, 3), dtype=dtype)
    array = to_numpy(tensor)
    tensor[0, 0] = 5
    assert array[0, 0] == 5
    assert str(array.dtype) == str(dtype).removeprefix("torch.")


def test_bfloat16_is_widened():
    """Bfloat16, which NumPy lacks, becomes float32 with the same values."""
    array = to_numpy(torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
    assert array.dtype == np.float32
    assert array.tolist() == [1.5, -2.0]


def test_tensors_with_gradients_are_detached():
    """A tensor that carries a gradient is read all the same."""
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
        ("auto", 4096, 200_000, "float64"),
        ("auto", 4097, 10, "float32"),
        ("auto", 10, 200_001, "float32"),
        ("auto", 10, None, "float64"),
    ],
)
def test_auto_precision_follows_the_rule(precision, dim, n_rows, expected):
    """`auto` is float64 up to a joint dimension of 4,096 and 200,000 rows."""
    assert resolve_precision(precision, dim=dim, n_rows=n_rows) == expected


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ("fast", "precision fast needs a device"),
        ("double", "got precision 'double', expected one of auto, float64, float32, fast"),
    ],
)
def test_other_precisions_are_refused(precision, message):
    """A precision that is unknown, or that this machine lacks, is refused by name."""
    with pytest.raises(InputError, match=message):
        resolve_precision(precision, dim=2, n_rows=2)
