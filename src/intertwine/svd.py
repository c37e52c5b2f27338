"""The singular value decomposition, when the quick way does not come to its end too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import svd as slow_svd

if TYPE_CHECKING:
    from intertwine.arrays import Array


def svd(matrix: Array) -> tuple[Array, Array, Array]:
    """Return U (p, k), the singular values (k,) descending and Vᵀ (k, q), k = min(p, q).

    LAPACK's divide and conquer (`gesdd`) now and then does not converge on matrices of low rank,
    such as cross-scatters of fewer rows than dimensions; QR iteration (`gesvd`), several times
    slower, then does. Golub & Van Loan, *Matrix Computations* (2013), section 8.6.

    Parameters
    ----------
    matrix
        (p, q) finite.

    Raises
    ------
    numpy.linalg.LinAlgError
        When neither converges.
    """
    try:
        u, values, vt = np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:
        u, values, vt = slow_svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return u, values, vt
