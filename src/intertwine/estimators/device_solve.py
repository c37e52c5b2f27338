"""Factorisations and products in float64, on the processor or where the moments' products were taken.

What comes in and goes out is NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from intertwine.arrays import to_device, to_numpy
from intertwine.extras import import_extra

if TYPE_CHECKING:
    from intertwine.arrays import Array


def eigh(matrix: Array, device: str) -> tuple[Array, Array]:
    """Return eigenvalues, (d,) ascending, and eigenvectors as columns of a symmetric matrix."""
    if device == "cpu":
        values, vectors = np.linalg.eigh(matrix)
        return values, vectors
    torch = import_extra("torch", "fast")
    values, vectors = torch.linalg.eigh(to_device(matrix, device))
    return to_numpy(values), to_numpy(vectors)


def product(left: Array, right: Array, device: str) -> Array:
    """Return left @ right."""
    if device == "cpu":
        return np.asarray(left @ right)
    return to_numpy(to_device(left, device) @ to_device(right, device))


class Cholesky:
    """The factor of a positive definite matrix.

    Parameters
    ----------
    matrix
        (d, d); it may be overwritten.
    device
        Where it is factored, and stays.

    Raises
    ------
    numpy.linalg.LinAlgError
        When the matrix is not positive definite.
    """

    def __init__(self, matrix: Array, device: str) -> None:
        self.device = device
        self._factor: Any
        if device == "cpu":
            self._factor = cho_factor(matrix, lower=True, overwrite_a=True)
            return
        self._torch = import_extra("torch", "fast")
        try:
            self._factor = self._torch.linalg.cholesky(to_device(matrix, device))
        except RuntimeError as error:
            raise np.linalg.LinAlgError(str(error)) from error

    def solve(self, right: Array) -> Array:
        """Return matrix⁻¹ right, (d, k)."""
        if self.device == "cpu":
            return np.asarray(cho_solve(self._factor, right))
        return to_numpy(
            self._torch.cholesky_solve(
                to_device(np.ascontiguousarray(right), self.device), self._factor
            )
        )
