import numpy as np
import pytest
from tests.helpers import assert_close

from intertwine.numerics.linalg import singular_values, singular_vectors

SHAPES = [(7, 4), (4, 7), (5, 5), (1, 6), (6, 1), (1, 1)]


def matrix_of(shape, *, deficient: bool = False):
    """Return a random matrix, of rank one less than it could have where asked."""
    matrix = np.random.default_rng(sum(shape)).standard_normal(shape)
    if deficient:
        u, s, vt = np.linalg.svd(matrix, full_matrices=False)
        s[-1] = 0
        matrix = (u * s) @ vt
    return matrix


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("deficient", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_are_square_roots_of_gram_eigenvalues(shape, deficient, quick):
    """Both ways give the same values; the quick one to 1e-7 of the largest."""
    matrix = matrix_of(shape, deficient=deficient)
    got = singular_values(matrix, quick=quick)
    assert got.shape == (min(shape),)
    assert (got >= 0).all()
    assert (np.diff(got) <= 0).all()
    expected = np.linalg.svd(matrix, compute_uv=False)
    assert_close(got, expected, 1e-7 if quick else 1e-14)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("deficient", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_factor_the_matrix(shape, deficient, quick):
    """U diag(σ) Vᵀ is the matrix, with orthonormal columns where the value is not lost."""
    matrix = matrix_of(shape, deficient=deficient)
    u, values, v = singular_vectors(matrix, quick=quick)
    k = min(shape)
    assert (u.shape, values.shape, v.shape) == ((shape[0], k), (k,), (shape[1], k))
    assert_close((u * values) @ v.T, matrix, 1e-7 if quick else 1e-13)
    found = values > 1e-7 * values.max(initial=0)
    for vectors in (u, v):
        assert_close(vectors[:, found].T @ vectors[:, found], np.eye(found.sum()), 1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_lost_vectors_are_zero_and_never_nan(shape):
    """The quick way gives the longer side's vectors of vanishing values as zeros."""
    u, values, v = singular_vectors(np.zeros(shape), quick=True)
    assert values.tolist() == [0] * min(shape)
    assert not (u if shape[0] > shape[1] else v).any()
    assert np.isfinite(u).all()
    assert np.isfinite(v).all()
