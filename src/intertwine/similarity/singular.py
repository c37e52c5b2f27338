"""Singular values and vectors, exactly or from the Gram matrix of the shorter side.

The Gram matrix loses singular values below √rounding (1e-8) of the largest and is several times
quicker than an SVD. It serves where only differences of scores count that are far larger, between
resamples and between draws of a null; scores themselves come from an SVD.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.svd import svd

if TYPE_CHECKING:
    from intertwine.arrays import Array

# A product below this has lost digits.
_LEAST = 1e-290


def root_of_product(a: Any, b: Any) -> Any:
    """Return √(ab) of positive numbers or arrays, also where their product is no float64."""
    with np.errstate(over="ignore", under="ignore"):
        product = np.multiply(a, b)
    if np.isfinite(product).all() and (product > _LEAST).all():
        return np.sqrt(product)
    return np.sqrt(a) * np.sqrt(b)


def singular_values(matrix: Array, *, quick: bool = False) -> Array:
    """Return the singular values of a (p, q) matrix, (min(p, q),) descending.

    Parameters
    ----------
    matrix
        (p, q).
    quick
        Whether values below 1e-8 of the largest may be lost.
    """
    if not quick:
        return np.asarray(np.linalg.svd(matrix, compute_uv=False))
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0)))


def singular_vectors(matrix: Array, *, quick: bool = False) -> tuple[Array, Array, Array]:
    """Return U (p, k), the singular values (k,) descending and V (q, k), k = min(p, q).

    Parameters
    ----------
    matrix
        (p, q).
    quick
        Whether values below 1e-8 of the largest, and the longer side's vectors that belong to
        them, may be lost; such vectors are zero.
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
