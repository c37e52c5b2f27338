"""R² of a map on any rows, from their moments alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.errors import InputError

if TYPE_CHECKING:
    from intertwine.linear_map import LinearMap
    from intertwine.moments import Moments


def r_squared(linear_map: LinearMap, moments: Moments) -> float:
    """Return R² = 1 − Σ‖B − B̂‖² / Σ‖B − mean(B)‖², summed over rows and target dimensions.

    Parameters
    ----------
    linear_map
        The map A → B, fitted on any rows.
    moments
        Joint moments of the rows scored; they hold both spaces, and their mean is the one taken.

    Returns
    -------
    r_squared
        1 for a perfect map, 0 for one as good as the mean, negative for a worse one.

    Raises
    ------
    InputError
        When the moments lack a space, or B does not vary over these rows, where R² is undefined.
    SpaceMismatchError
        When a space of the map is another one than that of the same name.
    """
    a, b = linear_map.source.name, linear_map.target.name
    for space in (linear_map.source, linear_map.target):
        moments.space(space.name).require(space)
    total = float(moments.scatter_diagonal(b).sum())
    if total <= 0:
        raise InputError(f"{b} does not vary over {moments.n} rows: R² is undefined")
    weight = linear_map.weight
    # Σ‖e‖² with e = (y − μ_B) − M(x − μ_A) + shift, the first two centred.
    shift = moments.mean(b) - weight @ moments.mean(a) - linear_map.bias
    explained = 2 * moments.scatter(b, a) - weight @ moments.scatter(a)
    residual = total - float((explained * weight).sum()) + moments.n * float(shift @ shift)
    return 1.0 - max(residual, 0.0) / total
