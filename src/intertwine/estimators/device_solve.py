"""Factorisations and products in float64, on the processor or where the moments' products were taken.

What comes in and goes out is NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import lapack

from intertwine.extras import import_extra
from intertwine.moments.accumulators.tiles import cut
from intertwine.numerics.arrays import to_device, to_numpy

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

# Width of a block of a triangular factor: wide enough for products to reach their speed.
TRIANGLE = 256


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
    """The factor of a positive definite (d, d) matrix, which stays on its device.

    On the processor triangular systems are solved block by block, by products with the inverses of
    the diagonal blocks: as fast as BLAS's own, and other threads run meanwhile, which SciPy's calls
    block. (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., 14.2.) A matrix that
    is not positive definite raises numpy.linalg.LinAlgError.
    """

    def __init__(self, matrix: Array, device: str) -> None:
        self.device = device
        self._factor: Any
        if device == "cpu":
            self._factor = np.linalg.cholesky(matrix)
            self._blocks = cut(len(matrix), TRIANGLE)
            self._inverses = [lapack.dtrtri(self._factor[b, b], lower=1)[0] for b in self._blocks]
            return
        self._torch = import_extra("torch", "fast")
        try:
            self._factor = self._torch.linalg.cholesky(to_device(matrix, device))
        except RuntimeError as error:
            raise np.linalg.LinAlgError(str(error)) from error

    def solve(self, right: Array) -> Array:
        """Return matrix⁻¹ right, (d, k); its transpose is contiguous."""
        if self.device == "cpu":
            # Rows of right-hand sides, as weights have them.
            rows = np.array(right.T, np.float64, order="C")
            lower = self._factor
            for block, inverse in zip(self._blocks, self._inverses, strict=True):
                done = slice(0, block.start)
                rows[:, block] -= rows[:, done] @ lower[block, done].T
                rows[:, block] = rows[:, block] @ inverse.T
            for block, inverse in zip(self._blocks[::-1], self._inverses[::-1], strict=True):
                done = slice(block.stop, None)
                rows[:, block] -= rows[:, done] @ lower[done, block]
                rows[:, block] = rows[:, block] @ inverse
            return rows.T
        return to_numpy(
            self._torch.cholesky_solve(
                to_device(np.ascontiguousarray(right), self.device), self._factor
            )
        )
