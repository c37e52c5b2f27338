"""Every estimator under one name and one signature, and the two that need no file of their own.

A new method is one file beside this one, and one line in `METHODS`. `identity` and `mean_vector`
are baselines that every map must beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.analytic import HeadFactor, analytic
from intertwine.estimators.cca import Whitening, cca, check_options
from intertwine.estimators.gcv import check_grid
from intertwine.estimators.normal import NormalEquations
from intertwine.estimators.procrustes import check_intercept, procrustes
from intertwine.estimators.reduced_rank import check_rank, reduced_rank
from intertwine.estimators.ridge import ridge
from intertwine.estimators.self_training import PartlyPaired, self_training
from intertwine.maps.linear_map import LinearMap
from intertwine.moments.moments import Moments
from intertwine.numerics.arrays import of_no_arrays
from intertwine.parallel.threads import one_by_one

if TYPE_CHECKING:
    from intertwine.maps.map_pair import MapPair
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Head, Space


@dataclass(frozen=True)
class FitOptions:
    """How maps are fitted.

    Parameters
    ----------
    method
        One of `METHODS`.
    alpha
        λ: a number, `gcv` or `gcv-per-target`.
    intercept
        `free`, `homogeneous` or `none`.
    rank
        For `reduced-rank`, a number or `gcv`; for `cca`, the number of shared coordinates.
    scale
        For `procrustes`, whether to fit a scale.
    power
        For `cca`, the power of the canonical correlations that weights the shared space.
    prior
        For `ridge`, `analytic` to shrink toward the analytic map instead of zero.
    alphas
        (n_alphas,) the grid of λ that GCV searches; None follows the source's scale (`gcv.SHARES`).
    refit
        For `self-training`, the method that is fitted on pairs, and on pairs and pseudo-pairs.
    """

    method: str = "ridge"
    alpha: float | str = 1.0
    intercept: str = "free"
    rank: int | str | None = None
    scale: bool = False
    power: float = 1.0
    prior: str | None = None
    alphas: Array | None = None
    refit: str = "cca"

    def __post_init__(self) -> None:
        """Raise for options that no data could make right, before any data are read."""
        if self.method not in METHODS:
            raise InputError(f"got method {self.method!r}, expected one of {', '.join(METHODS)}")
        if self.prior not in {None, "analytic"} or (self.prior and self.method != "ridge"):
            raise InputError(
                f"got prior {self.prior!r} for method {self.method}, expected analytic, with ridge"
            )
        if self.alphas is not None:
            check_grid(self.alphas)
        if self.method == "self-training":
            if self.refit not in REFITS:
                raise InputError(f"got refit {self.refit!r}, expected one of {', '.join(REFITS)}")
            replace(self, method=self.refit)  # refuses what that method does
        if self.method == "reduced-rank" and self.rank is not None:
            check_rank(self.rank)
        if self.method == "procrustes":
            check_intercept(self.intercept)
        if self.method == "cca":
            if self.intercept != "free" or isinstance(self.rank, str):
                raise InputError("method cca takes intercept free and a rank that is a number")
            check_options(self.alpha, self.rank)

    @property
    def needs_heads(self) -> bool:
        """Whether the maps are computed from classifier weights."""
        return self.method == "analytic" or self.prior == "analytic"


class Fitter:
    """Fits maps from one source after another, keeping what several sources can share.

    `heads`, by space, are for the analytic map alone, and `rows` for self-training.
    """

    def __init__(
        self,
        options: FitOptions,
        heads: Mapping[str, Head] | None = None,
        rows: PartlyPaired | None = None,
    ) -> None:
        self.options = options
        self.heads = dict(heads or {})
        self.rows = rows
        self.whitenings: dict[str, Whitening] = {}
        self._factors: dict[str, HeadFactor] = {}

    def fit(
        self, moments: Moments, source: str, targets: Iterable[str]
    ) -> Mapping[str, LinearMap | MapPair]:
        """Return the maps from one source, by target."""
        return METHODS[self.options.method](self, moments, source, list(targets))

    def analytic(self, source: Space, target: Space) -> LinearMap:
        """Return the affine analytic map between two spaces, factoring each target's head once."""
        for space in (source, target):
            if space.name not in self.heads:
                raise InputError(
                    f"space {space.name} has no head; the analytic map needs "
                    f"{space.name}.head.safetensors"
                )
        if target.name not in self._factors:
            self._factors[target.name] = HeadFactor.of(self.heads[target.name])
        return analytic(source, target, self.heads[source.name], self._factors[target.name])


@of_no_arrays("a Space", 'intertwine.fit(x, y, method="identity")')
def identity(source: Space, target: Space) -> LinearMap:
    """Return the identity map, zero-padded or cut where the dimensions differ."""
    return LinearMap(
        weight=np.eye(target.dim, source.dim),
        bias=np.zeros(target.dim),
        source=source,
        target=target,
        method="identity",
        info={"n": 0},
    )


@of_no_arrays("joint Moments", 'intertwine.fit(x, y, method="mean")')
def mean_vector(moments: Moments, source: str, target: str) -> LinearMap:
    """Return the map whose result is the target's mean, whatever the source."""
    equations = NormalEquations(moments, source)
    shape = (moments.space(source).dim, moments.space(target).dim)
    return equations.build(np.zeros(shape), target, "mean")


_Maps = Mapping[str, "LinearMap | MapPair"]


def _ridge(fitter: Fitter, moments: Moments, source: str, targets: list[str]) -> _Maps:
    options, priors = fitter.options, None
    if options.prior:
        space = moments.space
        priors = {target: fitter.analytic(space(source), space(target)) for target in targets}
    return ridge(
        moments,
        source,
        targets,
        alpha=options.alpha,
        intercept=options.intercept,
        priors=priors,
        alphas=options.alphas,
    )


def _least_squares(fitter: Fitter, moments: Moments, source: str, targets: list[str]) -> _Maps:
    maps = ridge(moments, source, targets, alpha=0.0, intercept=fitter.options.intercept)
    return {target: replace(fitted, method="least-squares") for target, fitted in maps.items()}


def _procrustes(fitter: Fitter, moments: Moments, source: str, targets: list[str]) -> _Maps:
    options = fitter.options
    return procrustes(moments, source, targets, scale=options.scale, intercept=options.intercept)


def _reduced_rank(fitter: Fitter, moments: Moments, source: str, targets: list[str]) -> _Maps:
    options = fitter.options
    return reduced_rank(
        moments,
        source,
        targets,
        rank="gcv" if options.rank is None else options.rank,
        alpha=options.alpha,
        intercept=options.intercept,
        alphas=options.alphas,
    )


def _cca(fitter: Fitter, moments: Moments, source: str, targets: list[str]) -> _Maps:
    options = fitter.options
    return cca(
        moments,
        source,
        targets,
        alpha=options.alpha,
        power=options.power,
        rank=None if options.rank is None else int(options.rank),
        whitenings=fitter.whitenings,
    )


def _analytic(fitter: Fitter, moments: Moments, source: str, targets: list[str]) -> _Maps:
    space = moments.space
    return {target: fitter.analytic(space(source), space(target)) for target in targets}


def _identity(fitter: Fitter, moments: Moments, source: str, targets: list[str]) -> _Maps:
    del fitter
    return {target: identity(moments.space(source), moments.space(target)) for target in targets}


def _mean(fitter: Fitter, moments: Moments, source: str, targets: list[str]) -> _Maps:
    del fitter
    return {target: mean_vector(moments, source, target) for target in targets}


def _self_training(fitter: Fitter, moments: Moments, source: str, targets: list[str]) -> _Maps:
    if fitter.rows is None:
        raise InputError("method self-training needs unpaired rows: give them with --unpaired")
    refit = Fitter(replace(fitter.options, method=fitter.options.refit))

    def fit(target: str) -> LinearMap | MapPair:
        spaces = moments.space(source), moments.space(target)

        def paired(rows: Mapping[str, Array]) -> LinearMap | MapPair:
            some = Moments(spaces, precision=moments.precision, device=moments.products.device)
            some.update(rows)
            return refit.fit(some, source, [target])[target]

        assert fitter.rows is not None  # noqa: S101 - checked above
        # A method that maps to the target's own space is asked for such a map.
        shared = fitter.options.refit == "cca"
        return self_training(fitter.rows, *spaces, paired, shared=shared)

    # Its many small products wait for BLAS threads more than they gain by them.
    return dict(zip(targets, one_by_one(fit, targets), strict=True))


METHODS: dict[str, Callable[[Fitter, Moments, str, list[str]], _Maps]] = {
    "ridge": _ridge,
    "least-squares": _least_squares,
    "procrustes": _procrustes,
    "reduced-rank": _reduced_rank,
    "cca": _cca,
    "analytic": _analytic,
    "identity": _identity,
    "mean": _mean,
    "self-training": _self_training,
}
# Methods whose maps do not depend on pairs of features.
UNFITTED = frozenset({"analytic", "identity", "mean"})
# Methods that self-training can fit on pseudo-pairs.
REFITS = ("cca", "procrustes", "ridge", "least-squares", "reduced-rank")
