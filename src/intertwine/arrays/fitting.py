"""A map between two arrays in one call."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from intertwine.arrays.pair import feature_set_of, without_files
from intertwine.estimators import FitOptions
from intertwine.moments.accumulators import Products
from intertwine.passes.fit import fit_pair

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.maps.linear_map import LinearMap
    from intertwine.maps.map_pair import MapPair
    from intertwine.numerics.arrays import Array


def fit(
    x: Any,
    y: Any,
    method: str = "ridge",
    alpha: float | str = "gcv",
    *,
    intercept: str = "free",
    rank: int | str | None = None,
    scale: bool = False,
    power: float = 1.0,
    alphas: Array | None = None,
    source: str = "x",
    target: str = "y",
    heads: Mapping[str, Any] | None = None,
    ids: Any = None,
    precision: str = "auto",
    device: str = "cpu",
) -> LinearMap | MapPair:
    """Fit a map from the space of one array to that of another.

    Parameters
    ----------
    x, y
        (n, d_x) and (n, d_y) arrays of any library; row i of both is the same sample.
    method
        `ridge`, `least-squares`, `procrustes`, `reduced-rank`, `cca`, `analytic`, `identity` or
        `mean`.
    alpha
        λ: a number of at least 0, `gcv` for one chosen by generalised cross-validation, or
        `gcv-per-target`. `cca` has no GCV: there `gcv` stands for 1. `procrustes`,
        `least-squares`, `analytic`, `identity` and `mean` have no λ.
    intercept
        `free`, `homogeneous` or `none`.
    rank
        For `reduced-rank`, a number or `gcv`; for `cca`, the number of shared coordinates.
    scale
        For `procrustes`, whether to fit a scale.
    power
        For `cca`, the power of the canonical correlations that weights the shared space.
    alphas
        (n_alphas,) the grid of λ that GCV searches.
    source, target
        Names of the two spaces, which the map keeps.
    heads
        For `analytic`, by space's name, as `FeatureSet.from_arrays` takes them.
    ids
        (n,) ids of the rows, by which rows are held out and the map knows them again.
    precision
        `auto`, `float64`, `float32` or `fast`, of the moments.
    device
        Where products are taken: `cpu`, `cuda` or `cuda:N`.

    Returns
    -------
    map
        A `LinearMap`; a `MapPair` of method `cca`. Its `repr`, and `info`, hold λ (`alpha`), the
        rows (`n`) and R² of a fifth of the rows, at most 256, under a map fitted on the others
        (`r2`), beside its value for shuffled rows (`r2_null`). The map itself is fitted on all.

    Raises
    ------
    InputError
        For arrays that are not (n, d), not finite or differ in rows, and options that do not fit.

    Warns
    -----
    UserWarning
        Where the map explains nothing: are the rows the same items in the same order?

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(500, 3))
    >>> there = fit(x, x[:, :2] + 1)
    >>> there(x[0]).shape
    (2,)
    """
    options = FitOptions(
        method=method,
        alpha=1.0 if method == "cca" and alpha == "gcv" else alpha,
        intercept=intercept,
        rank=rank,
        scale=scale,
        power=power,
        alphas=alphas,
    )
    feature_set = feature_set_of(x, y, names=(source, target), ids=ids, heads=heads)
    products = Products(precision, device)
    fitted, doubts = fit_pair(feature_set, source, target, options=options, products=products)
    for doubt in doubts:
        warnings.warn(without_files(doubt, (source, target)), stacklevel=2)
    return fitted
