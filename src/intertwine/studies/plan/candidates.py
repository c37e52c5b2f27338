"""Maps to choose among: ridge along a grid of λ, and Procrustes with a scale.

Of fewer pairs than dimensions Procrustes maps to zero what the pairs say nothing of. Filled up to an
orthogonal map, as is usual, it finds less: of 200 images 25 % of the ten neighbours in place of 31.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from intertwine.estimators import procrustes, ridge
from intertwine.estimators.normal import Eigen, NormalEquations
from intertwine.maps.source_check import main_directions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.maps.linear_map import LinearMap
    from intertwine.moments.moments import Moments

# λ as a share of the source's mean eigenvalue, Σ‖x − μ‖²/d: the grid then suits vectors of any
# length and number.
RIDGE_SHARES = tuple(float(share) for share in np.logspace(-4, 1, 8).round(6))


@dataclass(frozen=True)
class Candidate:
    """One way to fit a map: `ridge` with λ in the sum form, or `procrustes` with a scale, no λ."""

    method: str
    alpha: float | None = None

    def fit(self, moments: Moments, source: str, target: str) -> LinearMap:
        """Fit a map to moments."""
        if self.alpha is None:
            return procrustes(moments, source, [target], scale=True, partial=True)[target]
        return ridge(moments, source, [target], alpha=self.alpha)[target]

    def final(self, moments: Moments, source: str, target: str) -> LinearMap:
        """Return the map to keep, with what its source can be recognised by."""
        fitted = self.fit(moments, source, target)
        return replace(fitted, source_directions=main_directions(moments, source))


def candidates(moments: Moments, source: str) -> list[Candidate]:
    """Return the candidates of a direction: ridge along a grid of λ, and procrustes.

    The grid is that of the moments of all pairs, where fewer are fitted on too.
    """
    mean = float(moments.scatter_diagonal(source).mean())
    return [Candidate("ridge", share * mean) for share in RIDGE_SHARES] + [Candidate("procrustes")]


def fits(
    moments: Moments, source: str, target: str, chosen: Sequence[Candidate]
) -> Iterator[LinearMap]:
    """Fit several candidates in turn, with one factorisation for all λ."""
    ridges = sum(each.method == "ridge" for each in chosen)
    if ridges < 2:
        yield from (each.fit(moments, source, target) for each in chosen)
        return
    equations = NormalEquations(moments, source)
    equations.require_rows()
    eigen = Eigen.of(equations)
    rotated = eigen.rotate(equations.right(target))
    for each in chosen:
        if each.alpha is None:
            yield each.fit(moments, source, target)
        else:
            coefficients = eigen.solve(rotated, each.alpha)
            yield equations.build(coefficients, target, each.method, alpha=each.alpha)
