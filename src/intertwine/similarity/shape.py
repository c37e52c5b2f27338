"""Shape distances from moments: how far two spaces are apart once one may be rotated.

With S_AB the cross-scatter and ‖·‖_* the sum of singular values, max_Q tr(Q S_AB) over orthogonal Q
is ‖S_AB‖_* (Schönemann, *A generalized solution of the orthogonal Procrustes problem*, Psychometrika
31, 1966); unequal dimensions are padded with zeros, which changes nothing. Williams, Kunz, Kornblith
& Linderman, *Generalized shape metrics on neural representations*, NeurIPS 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.numerics.arrays import of_no_arrays
from intertwine.numerics.linalg import root_of_product, singular_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.moments.moments import Moments
    from intertwine.similarity.spectrum import Spectrum


@of_no_arrays("joint Moments", "intertwine.procrustes_distance(x, y)")
def angular_distance(
    moments: Moments,
    a: str,
    b: str,
    *,
    spectra: Mapping[str, Spectrum] | None = None,
    quick: bool = False,
) -> float:
    """Return the angular shape distance θ = arccos(‖S_AB‖_* / √(tr S_AA · tr S_BB)).

    Parameters
    ----------
    moments
        Joint moments that hold both spaces.
    a, b
        Names of the spaces.
    spectra
        Of both spaces, where they are known; with few rows they make the work small.
    quick
        Whether singular values below 1e-8 of the largest may be lost (see `singular`).

    Returns
    -------
    angle
        Radians, 0 … π/2; smaller is more similar, 0 for spaces equal up to shift, rotation and
        scale. A metric: symmetric, with the triangle inequality. Near 0 it is known to √rounding,
        1e-8 in float64.

    Raises
    ------
    InputError
        For an unknown space, or one that does not vary.
    """
    nuclear, spread_a, spread_b = _parts(moments, a, b, spectra, quick=quick)
    return float(np.arccos(min(nuclear / root_of_product(spread_a, spread_b), 1.0)))


@of_no_arrays("joint Moments", "intertwine.procrustes_distance(x, y, angular=False)")
def procrustes_distance(moments: Moments, a: str, b: str) -> float:
    """Return the squared Procrustes distance tr S_AA + tr S_BB − 2‖S_AB‖_*, in the spaces' units.

    The least Σ‖(x − μ_A)Q − (y − μ_B)‖² over orthogonal Q, unlike the angle not free of scale.

    Parameters
    ----------
    moments
        Joint moments that hold both spaces.
    a, b
        Names of the spaces.

    Returns
    -------
    distance
        At least 0; smaller is more similar.

    Raises
    ------
    InputError
        For an unknown space, or one that does not vary.
    """
    nuclear, spread_a, spread_b = _parts(moments, a, b)
    return max(spread_a + spread_b - 2 * nuclear, 0.0)


def _parts(
    moments: Moments,
    a: str,
    b: str,
    spectra: Mapping[str, Spectrum] | None = None,
    *,
    quick: bool = False,
) -> tuple[float, float, float]:
    """Return ‖S_AB‖_*, tr S_AA and tr S_BB."""
    spreads = []
    for name in (a, b):
        spread = float(moments.scatter_diagonal(name).sum())
        if spread <= 0:
            raise InputError(f"{name} does not vary over {moments.n} rows")
        spreads.append(spread)
    if a == b:
        return spreads[0], spreads[0], spreads[0]
    cross = moments.scatter(a, b)
    known = [spectra[name] for name in (a, b) if spectra and name in spectra]
    if len(known) == 2 and all(side.rank == moments.n - 1 < len(side.vectors) for side in known):
        # All n − 1 directions of the rows are there: turning both sides loses nothing.
        cross = known[0].vectors.T @ cross @ known[1].vectors
    nuclear = float(singular_values(cross, quick=quick).sum())
    return nuclear, spreads[0], spreads[1]
