"""Singular value decompositions, and scaling rows to length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import svd as slow_svd

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

# Rows this close to length 1 count as scaled to it.
TOLERANCE = 1e-3
# A product below this has lost digits.
_LEAST = 1e-290


def svd(matrix: Array) -> tuple[Array, Array, Array]:
    """Return U (p, k), the singular values (k,) descending and Vᵀ (k, q), k = min(p, q).

    LAPACK's divide and conquer (`gesdd`) now and then does not converge on matrices of low rank,
    such as cross-scatters of fewer rows than dimensions; then QR iteration (`gesvd`), several times
    slower, is used. Golub & Van Loan, *Matrix Computations* (2013), section 8.6.
    """
    try:
        u, values, vt = np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:
        u, values, vt = slow_svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return u, values, vt


def singular_values(matrix: Array, *, quick: bool = False) -> Array:
    """Return the singular values of a (p, q) matrix, (min(p, q),) descending.

    With `quick`, values below 1e-8 of the largest may be lost.
    """
    if not quick:
        return np.asarray(np.linalg.svd(matrix, compute_uv=False))
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0)))


def singular_vectors(matrix: Array, *, quick: bool = False) -> tuple[Array, Array, Array]:
    """Return U (p, k), the singular values (k,) descending and V (q, k), k = min(p, q).

    With `quick`, values below 1e-8 of the largest may be lost, and the longer side's vectors that
    belong to them are zero.
    """
    if not quick:
        u, values, vt = svd(matrix)
        return u, values, vt.T
    if matrix.shape[0] > matrix.shape[1]:
        v, values, u = singular_vectors(matrix.T, quick=True)
        return u, values, v
    squares, vectors = np.linalg.eigh(matrix @ matrix.T)
    values, u = np.sqrt(np.maximum(squares[::-1], 0.0)), vectors[:, ::-1]
    lost = values <= 1e-7 * values.max(initial=0.0)
    v = (matrix.T @ u) / np.where(lost, np.inf, values)
    return u, values, v


def is_unit(rows: Array) -> bool:
    """Return whether every row of (n, d) has length 1, up to 1e-3."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    return bool(np.abs(lengths - 1).max(initial=0) <= TOLERANCE)


def unit(rows: Array) -> Array:
    """Return rows, (n, d), scaled to length 1; a row of length zero stays as it is.

    `intertwine.numerics.arrays.unit_rows` checks features and refuses such a row.
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))


def root_of_product(a: Any, b: Any) -> Any:
    """Return √(ab) of positive numbers or arrays, even where ab would over- or underflow."""
    with np.errstate(over="ignore", under="ignore"):
        product = np.multiply(a, b)
    if np.isfinite(product).all() and (product > _LEAST).all():
        return np.sqrt(product)
    return np.sqrt(a) * np.sqrt(b)
