"""Normal equations of one source space, under the three kinds of intercept.

With rows x of the source and y of a target, every linear method here needs G = Σ z zᵀ, R = Σ z yᵀ
and the powers Σ y_j², where

- `free`: z = x − μ_A and y − μ_B: the intercept is outside every penalty;
- `homogeneous`: z = (x, 1) and y as it is: the intercept is one more penalised weight;
- `none`: z = x and y as they are: the map goes through the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.linalg import lapack

from intertwine.errors import InputError
from intertwine.estimators.device_solve import eigh, product
from intertwine.linear_map import LinearMap

if TYPE_CHECKING:
    from intertwine.arrays import Array
    from intertwine.moments import Moments

Intercept = Literal["free", "homogeneous", "none"]
INTERCEPTS: tuple[str, ...] = get_args(Intercept)
# What float32 products leave in a null direction, measured on flat and steep spectra, 32 to 1,500
# dimensions: at most 1.3 roundings of the largest eigenvalue, whatever the dimension.
_FLOAT32_ROUNDINGS = 3.0


@dataclass(frozen=True)
class NormalEquations:
    """The normal equations of one source space and any target.

    Parameters
    ----------
    moments
        Joint moments that hold the source and the targets.
    source
        Name of the source space.
    intercept
        `free`, `homogeneous` or `none`.

    Raises
    ------
    InputError
        For an unknown intercept or space.
    """

    moments: Moments
    source: str
    intercept: str = "free"

    def __post_init__(self) -> None:
        if self.intercept not in INTERCEPTS:
            raise InputError(
                f"got intercept {self.intercept!r}, expected one of {', '.join(INTERCEPTS)}"
            )
        if self.source not in self.moments.spaces:
            raise InputError(
                f"got source {self.source!r}, expected one of {list(self.moments.spaces)}"
            )

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.moments.n

    @property
    def device(self) -> str:
        """Where factorisations go: where the products of the moments were taken."""
        return self.moments.products.device

    @property
    def unpenalised(self) -> int:
        """Degrees of freedom spent outside the penalty: 1 for a free intercept, else 0."""
        return int(self.intercept == "free")

    def require_rows(self) -> None:
        """Raise when there are too few rows to fit anything.

        Raises
        ------
        InputError
            For fewer than two rows.
        """
        if self.n < 2:
            raise InputError(f"got n = {self.n} rows, expected at least 2 to fit a map")

    def gram(self) -> Array:
        """Return G = Σ z zᵀ, (p, p), p = d or d + 1."""
        return self.right(self.source, augment=True)

    def right(self, target: str, *, augment: bool = False) -> Array:
        """Return R = Σ z yᵀ, (p, d_target); with `augment`, y gets the same 1 as z."""
        moments, n = self.moments, self.n
        cross: Array = moments.scatter(self.source, target)
        if self.intercept == "free":
            return cross
        mean_source, mean_target = moments.mean(self.source), moments.mean(target)
        cross += n * np.outer(mean_source, mean_target)
        if self.intercept == "none":
            return cross
        cross = np.vstack([cross, n * mean_target])
        if augment:
            cross = np.column_stack([cross, np.append(n * mean_source, n)])
        return cross

    def power(self, target: str) -> Array:
        """Return Σ y_j², (d_target,)."""
        power: Array = self.moments.scatter_diagonal(target)
        if self.intercept != "free":
            power += self.n * self.moments.mean(target) ** 2
        return power

    def rounding(self, size: int) -> float:
        """Return the relative rounding of scatters and of solves of this size."""
        rounding = size * float(np.finfo(np.float64).eps)
        if self.moments.precision != "float64":
            rounding += _FLOAT32_ROUNDINGS * float(np.finfo(np.float32).eps)
        return rounding

    def tolerance(self, gram: Array) -> float:
        """Return the value at or below which an eigenvalue of G is rounding."""
        if self.intercept == "free" or self.moments.precision == "float64":
            return self.rounding(len(gram)) * largest_eigenvalue(gram)
        # Only the scatter has the rounding of float32; the means that were added have none.
        scatter = largest_eigenvalue(self.moments.scatter(self.source))
        exact = len(gram) * float(np.finfo(np.float64).eps)
        return self.rounding(0) * scatter + exact * largest_eigenvalue(gram)

    def rank(self, gram: Array) -> int:
        """Return the numerical rank of G, from a pivoted Cholesky factorisation or eigenvalues."""
        tolerance = self.tolerance(gram)
        if tolerance <= 0:
            return 0
        if self.device != "cpu":
            return int((eigh(gram, self.device)[0] > tolerance).sum())
        # Pivoting is slow. Where G − tolerance·I has a plain factor, dead features left out, no
        # eigenvalue is below the tolerance.
        alive = gram.diagonal() > tolerance
        shifted = gram.copy() if alive.all() else gram[np.ix_(alive, alive)]
        shifted[np.diag_indices_from(shifted)] -= tolerance
        try:
            np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            return int(lapack.dpstrf(gram, tol=tolerance)[2])
        return int(alive.sum())

    def coefficients_of(self, prior: LinearMap, target: str) -> Array:
        """Return a map in the form of these equations, (p, d_target).

        Raises
        ------
        InputError
            When the map is between other spaces, or has a bias and these equations have no
            intercept.
        """
        self.moments.spaces[self.source].require(prior.source)
        self.moments.space(target).require(prior.target)
        if self.intercept == "homogeneous":
            return np.vstack([prior.weight.T, prior.bias])
        if self.intercept == "none" and prior.bias.any():
            raise InputError(
                f"map {prior.name} has a bias, but intercept none has no place for one; "
                "use intercept free"
            )
        return prior.weight.T

    def build(self, coefficients: Array, target: str, method: str, **info: Any) -> LinearMap:
        """Return the map whose coefficients in these equations are given.

        Parameters
        ----------
        coefficients
            (p, d_target).
        target
            Name of the target space.
        method
            What to call the method in the map.
        info
            JSON-ready facts; intercept, n and precision are added.
        """
        moments = self.moments
        mean = moments.mean(self.source)
        if self.intercept == "homogeneous":
            weight, bias = coefficients[:-1].T, coefficients[-1]
        elif self.intercept == "none":
            weight, bias = coefficients.T, np.zeros(coefficients.shape[1])
        else:
            weight = coefficients.T
            bias = moments.mean(target) - weight @ mean
        facts = {"n": self.n, "intercept": self.intercept, "precision": moments.precision}
        return LinearMap(
            weight=np.ascontiguousarray(weight),
            bias=np.ascontiguousarray(bias),
            source=moments.spaces[self.source],
            target=moments.spaces[target],
            method=method,
            info={**info, **facts},
            source_mean=mean,
            source_spread=np.sqrt(moments.scatter_diagonal(self.source) / max(self.n, 1)),
        )


@dataclass(frozen=True)
class Eigen:
    """Eigendecomposition of G: one factorisation that serves every target and every λ.

    Parameters
    ----------
    values
        (p,) eigenvalues, those lost in rounding set to exactly zero.
    vectors
        (p, p) eigenvectors as columns; those of the zero eigenvalues are dropped.
    device
        Where products with them are taken.
    """

    values: Array
    vectors: Array
    device: str = "cpu"

    @classmethod
    def of(cls, equations: NormalEquations, gram: Array | None = None) -> Eigen:
        """Factor the normal equations of one source."""
        gram = equations.gram() if gram is None else gram
        values, vectors = eigh(gram, equations.device)
        # A direction below this cannot be told from a null one; left in, 1/λ would amplify it.
        kept = values > equations.tolerance(gram)
        return cls(values[kept], vectors[:, kept], equations.device)

    @property
    def rank(self) -> int:
        """Number of directions above rounding."""
        return len(self.values)

    def rotate(self, right: Array) -> Array:
        """Return R in eigenvector coordinates, (rank, d_target)."""
        return product(self.vectors.T, right, self.device)

    def solve(self, rotated: Array, alpha: float | Array) -> Array:
        """Return (G + λI)⁺R, (p, d_target); `alpha` is λ, one or (d_target,)."""
        return product(self.vectors, rotated / (self.values[:, None] + alpha), self.device)

    def df(self, alphas: Array) -> Array:
        """Return the trace of the hat matrix at each λ, (n_alphas,)."""
        return np.asarray((self.values / (self.values + alphas[:, None])).sum(axis=1))


def largest_eigenvalue(gram: Array) -> float:
    """Return about the largest eigenvalue of a positive semi-definite matrix, by power iteration."""
    vector = gram[:, gram.diagonal().argmax()]
    length = float(np.linalg.norm(vector))
    for _ in range(10):
        if length == 0:
            break
        vector = gram @ (vector / length)
        length = float(np.linalg.norm(vector))
    return length
