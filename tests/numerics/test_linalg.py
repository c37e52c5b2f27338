"""The singular value decomposition, and what takes its place."""

import numpy as np
import pytest

from intertwine.numerics.linalg import svd

RNG = np.random.default_rng(0)


def fails(*_, **__):
    """Do as LAPACK does now and then."""
    raise np.linalg.LinAlgError("SVD did not converge")


@pytest.mark.parametrize("stuck", [False, True])
@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5), (1, 3)])
def test_factors_give_the_matrix_back(monkeypatch, shape, stuck):
    """Orthonormal, in falling order, whether or not the quick way converges; ranks may be low."""
    matrix = RNG.standard_normal(shape)
    matrix[0] = matrix[-1]
    expected = np.linalg.svd(matrix, compute_uv=False)
    if stuck:
        monkeypatch.setattr(np.linalg, "svd", fails)
    u, values, vt = svd(matrix)
    np.testing.assert_allclose((u * values) @ vt, matrix, atol=1e-12)
    np.testing.assert_allclose(values, expected, atol=1e-12)
    np.testing.assert_allclose(u.T @ u, np.eye(len(values)), atol=1e-12)
    np.testing.assert_allclose(vt @ vt.T, np.eye(len(values)), atol=1e-12)
