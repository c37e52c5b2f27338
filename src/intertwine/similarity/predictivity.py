"""Linear predictivity from moments: R² of a map on any rows, and of ridge maps on unseen rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.gcv import GCV, kind_of_note
from intertwine.estimators.normal import Eigen, NormalEquations
from intertwine.similarity.estimate import Null
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from intertwine.maps.linear_map import LinearMap
    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array
    from intertwine.similarity.spectrum import Spectrum


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
        raise InputError(f"{b} does not vary over {counted(moments.n, 'row')}: R² is undefined")
    linear_map.require_affine("an R² from moments")
    weight = linear_map.weight
    # Σ‖e‖² with e = (y − μ_B) − M(x − μ_A) + shift, the first two centred.
    shift = moments.mean(b) - weight @ moments.mean(a) - linear_map.bias
    explained = 2 * moments.scatter(b, a) - weight @ moments.scatter(a)
    residual = total - float((explained * weight).sum()) + moments.n * float(shift @ shift)
    return 1.0 - max(residual, 0.0) / total


@dataclass(frozen=True)
class Fold:
    """How a ridge map fitted on the other rows does on one group of rows.

    `residual` is Σ‖y − ŷ‖² over the group; `unrelated` its average for a target that has nothing to
    do with the source, of unit total variance a row, under a map of the same λ; `wobble` Σ_k (2h_k
    − h_k²)², h_k = s_k/(s_k + λ): how far chance alone moves `residual` from its average (see
    `null_of`). `spread` is Σ‖y − mean‖² over the other rows; `alpha` is λ, chosen by GCV on the
    other rows, and `note` a note on that choice, such as a chosen edge of the grid, empty for most.
    """

    residual: float
    unrelated: float
    wobble: float
    spread: float
    alpha: float
    note: str = ""


def fold(
    rest: Moments,
    group: Moments,
    source: str,
    targets: Iterable[str],
    *,
    alphas: Array | None = None,
    spectrum: Spectrum | None = None,
) -> dict[str, Fold]:
    """Fit ridge maps on some rows and score them on others.

    With S = V diag(s) Vᵀ the source's scatter over `rest`, C = diag(s + λ)⁻¹ Vᵀ S_AB the map in
    principal coordinates and G, R, P the group's moments of source and target about the means of
    `rest`, the residual is P − 2⟨C, R⟩ + ⟨C, G C⟩. For an unrelated target, E C Cᵀ is
    diag(s/(s + λ)²): hence `unrelated` = m (1 + 1/n) + Σ_k s_k G_kk / (s_k + λ)².

    Parameters
    ----------
    rest
        Joint moments of the n rows that maps are fitted on.
    group
        Joint moments of the m rows that they are scored on.
    source, targets
        Names of the spaces.
    alphas
        (n_alphas,) the grid of λ that GCV searches, as for `estimators.ridge`.
    spectrum
        Of the source over `rest`, where it is known.

    Returns
    -------
    folds
        By target.

    Raises
    ------
    InputError
        For an unknown space, or fewer than two rows to fit on.
    """
    equations = NormalEquations(rest, source)
    equations.require_rows()
    eigen = Eigen.of(equations) if spectrum is None else Eigen(spectrum.values, spectrum.vectors)
    vectors, values = eigen.vectors, eigen.values
    spread = vectors.T @ _about(group, rest, source, source) @ vectors  # (rank, rank)
    folds = {}
    for target in targets:
        rotated, power = eigen.rotate(equations.right(target)), equations.power(target)
        gcv = GCV.of(eigen, rotated, power, n=rest.n, unpenalised=1, alphas=alphas)
        chosen, notes = gcv.choose(per_target=False)
        alpha = float(chosen[0])
        coefficients = rotated / (values[:, None] + alpha)  # (rank, d_target)
        cross = vectors.T @ _about(group, rest, source, target)
        total = group.scatter_diagonal(target).sum() + group.n * _shift(group, rest, target)
        residual = total - float((coefficients * (2 * cross - spread @ coefficients)).sum())
        shrunk = values / (values + alpha)
        noise = float((shrunk * (spread.diagonal() / (values + alpha))).sum())
        folds[target] = Fold(
            residual=max(float(residual), 0.0),
            unrelated=group.n * (1 + 1 / rest.n) + noise,
            wobble=float(((2 * shrunk - shrunk**2) ** 2).sum()),
            spread=float(power.sum()),
            alpha=alpha,
            note=kind_of_note(notes[:1]),
        )
    return folds


def null_of(folds: Sequence[Fold], n: int, participation_ratio: float) -> Null:
    """Return the null of pooled R²: that of a target that has nothing to do with the source.

    The mean is 1 − Σ unrelated/(n − 1). Its spread comes from the products of the target's rows
    with each other, weighted by the hat matrix H of ridge: of Σ_ij y_iᵀy_j (2H − H²)_ij the
    variance is 2 Σ_k (2h_k − h_k²)² tr Σ_B², and tr Σ_B²/(tr Σ_B)² is one over the target's
    participation ratio. The means of the groups add the last term. The folds together cover all n
    rows.
    """
    unrelated = sum(each.unrelated for each in folds)
    wobble = sum(each.wobble for each in folds) / len(folds)
    groups = len(folds)
    means = (((groups / (groups - 1)) ** 2 - 1) ** 2) * (groups - 1)
    spread = np.sqrt(2 * (wobble + means) / participation_ratio) / (n - 1)
    return Null(1 - unrelated / (n - 1), float(spread))


def _about(group: Moments, rest: Moments, a: str, b: str) -> Array:
    """Return Σ (x_a − μ_a)(x_b − μ_b)ᵀ over the group, about the means of `rest`."""
    shift_a, shift_b = (group.mean(name) - rest.mean(name) for name in (a, b))
    return np.asarray(group.scatter(a, b) + group.n * np.outer(shift_a, shift_b))


def _shift(group: Moments, rest: Moments, name: str) -> float:
    return float(((group.mean(name) - rest.mean(name)) ** 2).sum())
