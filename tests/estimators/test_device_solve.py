"""Solves on a torch device: run here on the processor, with the very code that a GPU runs."""

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve
from tests.helpers import CASES, assert_close, assert_same_map, make, moments_of

from intertwine.estimators import device_solve, reduced_rank, ridge
from intertwine.estimators.device_solve import Cholesky


@pytest.fixture
def device(monkeypatch):
    """Make a device name mean torch on the processor; return it and what was moved there."""
    import torch

    moved = []

    def to_device(array, name):
        moved.append(name)
        return torch.from_numpy(np.ascontiguousarray(array))

    monkeypatch.setattr(device_solve, "to_device", to_device)
    return "cuda:1", moved


@pytest.mark.parametrize("alpha", [1.0, 0.0, "gcv", "gcv-per-target"])
# Of two rows every λ fits alike, and rounding chooses.
@pytest.mark.parametrize("case", [case for case in CASES if case != "two rows"])
def test_ridge_on_a_device_is_ridge(device, case, alpha):
    """Maps solved on a device are those solved by NumPy, for every way to choose λ."""
    name, moved = device
    here, there = (moments_of(*make(case)) for _ in range(2))
    there.flush()
    there.products = here.products.__class__("float64", name)
    expected = ridge(here, "a", ["b"], alpha=alpha)["b"]
    found = ridge(there, "a", ["b"], alpha=alpha)["b"]
    assert set(moved) == {name}
    assert found.info["rank"] == expected.info["rank"]
    assert_same_map(found, expected, 1e-7)


def test_reduced_rank_on_a_device(device):
    """Reduced-rank maps on a device are those of NumPy."""
    here, there = (moments_of(*make("tall")) for _ in range(2))
    there.flush()
    there.products = here.products.__class__("float64", device[0])
    maps = [reduced_rank(m, "a", ["b"], rank=3, alpha=1.0)["b"] for m in (here, there)]
    assert_same_map(maps[1], maps[0], 1e-8)


def test_a_matrix_that_is_not_positive_definite_is_refused(device):
    """A factor that does not exist is an error of linear algebra, on any device."""
    for name in ("cpu", device[0]):
        with pytest.raises(np.linalg.LinAlgError):
            Cholesky(-np.eye(3), name)


@pytest.mark.parametrize("width", [1, 3, 8, 64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_of_any_width_solve_as_scipy_does(monkeypatch, width, order):
    """Triangular solves block by block are SciPy's, whatever the blocks and the order in memory."""
    monkeypatch.setattr(device_solve, "TRIANGLE", width)
    rng = np.random.default_rng(0)
    rows, right = rng.standard_normal((100, 20)), rng.standard_normal((20, 7))
    matrix, before = rows.T @ rows, right.copy()
    found = Cholesky(matrix, "cpu").solve(np.asarray(right, order=order))
    assert_close(found, cho_solve(cho_factor(matrix), right), 1e-13)
    assert_close(matrix @ found, right, 1e-12)
    assert np.array_equal(right, before)
