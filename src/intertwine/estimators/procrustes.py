"""Orthogonal Procrustes maps from moments.

Maximises tr(R S_AB) over R with orthonormal columns or rows, that is, minimises
Σ‖R(x − μ_A) − (y − μ_B)‖² where d_B ≥ d_A; where d_B < d_A, the same after zero-padding y. Schönemann,
*A generalized solution of the orthogonal Procrustes problem*, Psychometrika 31 (1966).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.normal import NormalEquations
from intertwine.numerics.arrays import of_no_arrays
from intertwine.numerics.linalg import svd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intertwine.maps.linear_map import LinearMap
    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array


def check_intercept(intercept: str) -> None:
    """Raise InputError for `homogeneous`, an intercept that a rotation cannot have."""
    if intercept == "homogeneous":
        raise InputError("method procrustes has no homogeneous form; use intercept free or none")


@of_no_arrays("joint Moments", 'intertwine.fit(x, y, method="procrustes")')
def procrustes(
    moments: Moments,
    source: str,
    targets: Iterable[str],
    *,
    scale: bool = False,
    partial: bool = False,
    intercept: str = "free",
) -> dict[str, LinearMap]:
    """Fit orthogonal maps from one source to several targets.

    Parameters
    ----------
    moments
        Joint moments that hold the source and the targets.
    source
        Name of the source space.
    targets
        Names of the target spaces, of any dimensions.
    scale
        Whether to fit one positive scale too, the least-squares one for the R found.
    partial
        Whether R maps to zero what the rows do not determine, where S_AB is rank-deficient: it is then
        the unitary factor of the canonical polar decomposition, which is unique, in place of one of
        many. Higham, *Functions of Matrices* (2008), section 8.1.
    intercept
        `free` or `none`.

    Returns
    -------
    maps
        By target; `info` holds the scale and the rank of S_AB.

    Raises
    ------
    InputError
        For intercept `homogeneous`, an unknown space, or fewer than two rows.
    """
    check_intercept(intercept)
    equations = NormalEquations(moments, source, intercept)
    equations.require_rows()
    gram = equations.gram() if scale else None
    maps = {}
    for target in targets:
        right = equations.right(target)
        u, s, vt = svd(right)
        resolved = int((s > equations.rounding(max(right.shape)) * s.max(initial=0.0)).sum())
        # What is left out is decided on S_AB as it is: its vectors beyond these are rounding, in any
        # coordinates.
        rank = resolved if partial else _rank(equations, target, right, s, resolved)
        n_kept = resolved if partial else len(s)
        coefficients = u[:, :n_kept] @ vt[:n_kept]
        factor = 1.0
        if gram is not None:
            spread = float(((gram @ coefficients) * coefficients).sum())
            factor = float((coefficients * right).sum()) / spread if spread > 0 else 0.0
        notes = []
        if rank < len(s):
            rest = "R maps the rest to zero" if partial else "one of many R"
            notes.append(f"the cross-scatter has rank {rank} of {len(s)}: {rest}")
        maps[target] = equations.build(
            factor * coefficients, target, "procrustes", scale=factor, rank=rank, notes=notes
        )
    return maps


def _rank(
    equations: NormalEquations, target: str, right: Array, values: Array, resolved: int
) -> int:
    """Return how many singular values of S_AB are above rounding, as it is or on features' scales."""
    if resolved == len(values):
        return resolved
    rounding = equations.rounding(max(right.shape))
    lengths = [np.sqrt(equations.power(name)) for name in (equations.source, target)]
    scales = [np.where(length > 0, length, 1.0) for length in lengths]
    equal = np.linalg.svd(right / scales[0][:, None] / scales[1], compute_uv=False)
    return max(resolved, int((equal > rounding * equal.max(initial=0.0)).sum()))
