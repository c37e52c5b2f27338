"""Maps that discount what changes within a class: whitening by K = S + τ n C_w + λI.

S is the scatter of a space, C_w the covariance of its rows about their class means, so that
directions in which one person's images differ count for less, as in linear discriminant analysis:
Fisher, *The use of multiple measurements in taxonomic problems*, Annals of Eugenics 7 (1936), and
for verification Hatch, Kajarekar & Stolcke, *Within-class covariance normalization for SVM-based
speaker recognition*, Interspeech (2006). With τ = 0 it is ridge's own penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.cca import Whitening
from intertwine.estimators.normal import Eigen, NormalEquations
from intertwine.maps.linear_map import LinearMap
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array


@dataclass(frozen=True)
class WithinClass:
    """How rows differ within classes, from the moments of deviations from class means.

    `deviations` are the moments of the rows of the `n_classes` classes that have several, each row
    less its class's mean.
    """

    deviations: Moments
    n_classes: int

    def covariance(self, name: str) -> Array:
        """Return C_w of a space, Σ (x − μ_class)(x − μ_class)ᵀ / (n − n_classes), (d, d).

        InputError where no class has two rows.
        """
        freedom = self.deviations.n - self.n_classes
        if freedom < 1:
            raise InputError(
                f"got {counted(self.deviations.n, 'row')} of {counted(self.n_classes, 'class', 'classes')}, expected a class with at "
                "least two rows; use a within-class weight of 0"
            )
        return np.asarray(self.deviations.scatter(name) / freedom)


def within_whitenings(
    moments: Moments,
    names: Iterable[str],
    within: WithinClass,
    *,
    weight: float,
    alphas: Iterable[float],
) -> dict[float, dict[str, Whitening]]:
    """Factor K = S + τ n C_w of several spaces once for every λ; return whitenings by λ and space.

    `weight` is τ, at least 0; `alphas` are every λ wanted, in the sum form that ridge has, above 0.
    `cca` takes the whitenings of one λ.
    """
    listed = [float(alpha) for alpha in alphas]
    if not (np.isfinite(weight) and weight >= 0):
        raise InputError(f"got a within-class weight of {weight}, expected a number of at least 0")
    if not all(np.isfinite(alpha) and alpha > 0 for alpha in listed):
        raise InputError(f"got alphas {listed}, expected numbers above 0")
    factored: dict[float, dict[str, Whitening]] = {alpha: {} for alpha in listed}
    for name in names:
        equations = NormalEquations(moments, name)
        equations.require_rows()
        penalised = equations.gram()
        if weight:
            penalised = penalised + weight * moments.n * within.covariance(name)
        eigen = Eigen.of(equations, penalised)
        for alpha in listed:
            factored[alpha][name] = Whitening(equations, eigen, alpha, moments.n)
    return factored


def half_whitened(
    source: str, targets: Iterable[str], whitenings: Mapping[str, Whitening]
) -> dict[str, LinearMap]:
    """Fit maps, by target, whose product with an unchanged target row is a good verification score.

    M = (I − u uᵀ) K_B^(−1/2) S_BA K_A⁻¹ and b = −M μ_A, u = μ_B / ‖μ_B‖. The target stays as it is,
    so the metric in which the shared space would compare it has to go into M. Half of it does: M x
    is then canonical correlation's source coordinates turned onto the target's axes, with their
    length, which a cosine divides by. Taking u out keeps a source row from scoring high with every
    target row. It is no regression: M x + b does not estimate y.

    The whitenings are those of one λ, by space, from `within_whitenings`.
    """
    a = whitenings[source]
    moments, inverse = a.equations.moments, a.basis() @ a.basis().T
    mean = moments.mean(source)
    maps = {}
    for target in targets:
        b = whitenings[target]
        explained = a.equations.right(target).T @ inverse  # (d_target, d_source)
        weight = b.basis() @ (b.eigen.vectors.T @ explained)
        centre = moments.mean(target)
        length = float(np.linalg.norm(centre))
        spread = float(np.sqrt(moments.scatter_diagonal(target).sum() / moments.n))
        # A mean that is the rounding of zero has no direction.
        if length > len(centre) * np.finfo(np.float64).eps * spread:
            unit = centre / length
            weight -= np.outer(unit, unit @ weight)
        maps[target] = LinearMap(
            weight=weight,
            bias=-weight @ mean,
            source=moments.spaces[source],
            target=moments.spaces[target],
            method="half-whitened",
            info={"alpha": a.alpha, "n": moments.n, "rank": a.eigen.rank},
            source_mean=mean,
            source_spread=np.sqrt(moments.scatter_diagonal(source) / moments.n),
        )
    return maps
