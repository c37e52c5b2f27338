"""Normal equations of one source space, under the three kinds of intercept.

With rows x of the source and y of a target, every linear method here needs G = Σ z zᵀ, R = Σ z yᵀ
and the powers Σ y_j², where

- `free`: z = x − μ_A and y − μ_B: the intercept is outside every penalty;
- `homogeneous`: z = (x, 1) and y as it is: the intercept is one more penalised weight;
- `none`: z = x and y as they are: the map goes through the origin.

Rounding leaves S_ij uncertain by a share of |a_i||a_j|, feature by feature. So which directions are
null is judged in two forms, and one that is above rounding in either is kept: G as it is, and
G with every feature on its own scale (unit diagonal), whose smallest eigenvalues a large feature
does not bury. van der Sluis, *Condition numbers and equilibration of matrices*, Numerische
Mathematik 14 (1969); Demmel & Veselić, *Jacobi's method is more accurate than QR*, SIAM Journal on
Matrix Analysis and Applications 13 (1992).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.linalg import lapack

from intertwine.errors import InputError
from intertwine.estimators.device_solve import eigh, product
from intertwine.maps.linear_map import LinearMap
from intertwine.wording import counted, named

if TYPE_CHECKING:
    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array

Intercept = Literal["free", "homogeneous", "none"]
INTERCEPTS: tuple[str, ...] = get_args(Intercept)
# What float32 products leave in a null direction, measured on flat and steep spectra, 32 to 1,500
# dimensions: at most 1.3 roundings of the largest eigenvalue, whatever the dimension.
_FLOAT32_ROUNDINGS = 3.0
_EPS = float(np.finfo(np.float64).eps)
# A share of the largest eigenvalue above which half of float64's digits are left.
SAFE_SHARE = float(np.sqrt(_EPS))
# An eigenvalue this many roundings of the largest has four digits, from an eigendecomposition.
_GRADED = 1e4
# Numbers between 2^±450 have squares.
_MOST_POWER = 450
# How much better conditioned G must be with every feature on its own scale for that to be its form.
_BETTER = 100.0


@dataclass(frozen=True)
class NormalEquations:
    """The normal equations of one source space and any target."""

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
                f"got source {self.source!r}, expected one of {named(self.moments.spaces)}"
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
        """Raise InputError for fewer than two rows, too few to fit anything."""
        if self.n < 2:
            raise InputError(f"got n = {counted(self.n, 'row')}, expected at least 2 to fit a map")

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
        rounding = size * _EPS
        if self.moments.precision != "float64":
            rounding += _FLOAT32_ROUNDINGS * float(np.finfo(np.float32).eps)
        return rounding

    def tolerance(self, gram: Array) -> float:
        """Return the value at or below which an eigenvalue of G is rounding."""
        if self.intercept == "free" or self.moments.precision == "float64":
            return self.rounding(len(gram)) * largest_eigenvalue(gram)
        # Only the scatter has the rounding of float32; the means that were added have none.
        scatter = largest_eigenvalue(self.moments.scatter(self.source))
        return self.rounding(0) * scatter + len(gram) * _EPS * largest_eigenvalue(gram)

    def most(self, gram: Array) -> int:
        """Return the largest rank that G can have: features that vary, and rows."""
        return min(int(np.count_nonzero(gram.diagonal())), self.n - self.unpenalised)

    def equilibrated(self, gram: Array) -> Equilibrated:
        """Return G with every feature on its own scale, that of its rounding."""
        alive = gram.diagonal() > 0
        uncertain = gram = gram[np.ix_(alive, alive)]
        squares = gram.diagonal()
        exact = len(alive) * _EPS
        rounding = self.rounding(len(alive))
        if self.intercept != "free" and rounding > exact:
            # Only the scatter has the rounding of float32.
            scatter = np.zeros((len(alive), len(alive)))
            d = self.moments.spaces[self.source].dim
            scatter[:d, :d] = self.moments.scatter(self.source)
            uncertain = scatter[np.ix_(alive, alive)]
            squares = ((rounding - exact) * uncertain.diagonal() + exact * squares) / rounding
        scale = np.sqrt(squares)
        tolerance = rounding * largest_eigenvalue(uncertain / scale / scale[:, None])
        return Equilibrated(gram / scale / scale[:, None], scale, alive, tolerance)

    def rank(self, gram: Array) -> int:
        """Return the numerical rank of G: the directions above rounding in either form."""
        tolerance = self.tolerance(gram)
        if tolerance <= 0:
            return 0
        rank = _rank(gram, tolerance, self.device)
        if rank >= self.most(gram):
            return rank
        equal = self.equilibrated(gram)
        return max(rank, _rank(equal.matrix, equal.tolerance, self.device))

    def bears(self, gram: Array, alpha: float) -> bool:
        """Return whether G + λI is clear of rounding, with every feature on its own scale."""
        if alpha > max(self.tolerance(gram), SAFE_SHARE * largest_eigenvalue(gram)):
            return True
        equal = self.equilibrated(gram)
        least = max(equal.tolerance, SAFE_SHARE * largest_eigenvalue(equal.matrix))
        return _exceeds(equal.matrix + np.diag(alpha / equal.scale**2), least)

    @staticmethod
    def rank_note(rank: int, dim: int) -> str:
        """Return the note on a rank below the dimension."""
        return f"the source's features have rank {rank} of {dim}"

    def coefficients_of(self, prior: LinearMap, target: str) -> Array:
        """Return a map in the form of these equations, (p, d_target).

        InputError where it has a bias and these equations have no intercept.
        """
        prior.require_affine("a prior")
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
        """Return the map with these coefficients, (p, d_target).

        `info` are JSON-ready facts; intercept, n and precision are added.
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

    `values` (rank,) are the eigenvalues above rounding, ascending; `vectors` (p, rank) their
    eigenvectors as columns; products with them are taken on `device`.
    """

    values: Array
    vectors: Array
    device: str = "cpu"

    @classmethod
    def of(
        cls, equations: NormalEquations, gram: Array | None = None, *, few_rows: bool = False
    ) -> Eigen:
        """Factor the normal equations of one source.

        With `few_rows`, of far fewer rows than dimensions, the work goes by the rank.
        """
        gram = equations.gram() if gram is None else gram
        # A direction below this cannot be distinguished from a null one; left in, 1/λ would amplify it.
        plain = cls._above(gram, equations.tolerance(gram), equations.device, few_rows=few_rows)
        whole = plain.rank >= equations.most(gram)
        if whole and plain.condition * _GRADED * len(gram) * _EPS < 1:
            return plain
        equal = equations.equilibrated(gram)
        if not whole and _rank(equal.matrix, equal.tolerance, equations.device) <= plain.rank:
            return plain
        scaled = cls._above(equal.matrix, equal.tolerance, equations.device, few_rows=few_rows)
        better = scaled.rank == plain.rank and scaled.condition * _BETTER < plain.condition
        return equal.back(scaled) if scaled.rank > plain.rank or better else plain

    @classmethod
    def _above(cls, gram: Array, tolerance: float, device: str, *, few_rows: bool) -> Eigen:
        """Return the eigenvalues above a tolerance, ascending, and their vectors.

        Of few rows S = L Lᵀ with L (d, r), r < n, costs d r² in place of d³; with
        LᵀL = Q diag(s) Qᵀ the eigenvectors are L Q diag(s)^(−1/2).
        """
        if not few_rows:
            values, vectors = eigh(gram, device)
            above = values > tolerance
            return cls(values[above], vectors[:, above], device)
        if tolerance <= 0:
            return cls(np.empty(0), np.empty((len(gram), 0)), device)
        factor, pivots, rank, _ = lapack.dpstrf(gram, tol=tolerance, lower=1)
        lower = np.zeros((len(gram), rank))
        lower[pivots - 1] = np.tril(factor)[:, :rank]
        values, vectors = np.linalg.eigh(lower.T @ lower)
        above = values > tolerance
        return cls(values[above], lower @ (vectors[:, above] / np.sqrt(values[above])), device)

    @property
    def rank(self) -> int:
        """Number of directions above rounding."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """The mean eigenvalue, 1 where there is none."""
        return float(self.values.mean()) if self.rank else 1.0

    @property
    def condition(self) -> float:
        """The largest eigenvalue over the smallest that is kept."""
        return float(self.values[-1] / self.values[0]) if self.rank else 1.0

    def rotate(self, right: Array) -> Array:
        """Return R in eigenvector coordinates, (rank, d_target)."""
        return product(self.vectors.T, right, self.device)

    def solve(self, rotated: Array, alpha: float | Array) -> Array:
        """Return (G + λI)⁺R, (p, d_target); `alpha` is λ, one or (d_target,)."""
        return product(self.vectors, rotated / (self.values[:, None] + alpha), self.device)

    def df(self, alphas: Array) -> Array:
        """Return the trace of the hat matrix at each λ, (n_alphas,)."""
        return np.asarray((self.values / (self.values + alphas[:, None])).sum(axis=1))


@dataclass(frozen=True)
class Equilibrated:
    """Normal equations with every feature on its own scale: G = D C D over the features alive.

    `matrix` is C, `scale` the diagonal of D, `alive` (p,) the features of G that these are, the
    others being exactly zero, and an eigenvalue of C at or below `tolerance` is rounding.
    """

    matrix: Array
    scale: Array
    alive: Array
    tolerance: float

    def back(self, scaled: Eigen) -> Eigen:
        """Return the eigendecomposition of G from that of C.

        With C = F Fᵀ the eigenvectors of G are the left singular vectors of D F.
        """
        root, scale = np.sqrt(scaled.values), self.scale[:, None]
        lower = scale * (scaled.vectors * root)
        values, turn = eigh(lower.T @ lower, scaled.device)
        if values[0] > _GRADED * len(values) * _EPS * values[-1]:
            vectors = lower @ turn / np.sqrt(values)
        else:
            values, vectors, turn = _graded(lower)
            lengths = np.sqrt(values)
            if len(root) == len(scale):
                vectors = ((scaled.vectors / root) @ turn) * (lengths / scale)
            # Of two forms of one number, the one in which nothing cancels.
            vectors = np.where(scale < lengths, lower @ turn / lengths, vectors)
        whole = np.zeros((len(self.alive), len(values)))
        whole[self.alive] = vectors
        return Eigen(values, whole, scaled.device)


def _graded(lower: Array) -> tuple[Array, Array, Array]:
    """Return squared singular values, ascending, and left and right vectors of a graded matrix.

    One-sided Jacobi keeps the digits of the smallest too, however large the largest.
    """
    values, left, right, scale, _, failed = lapack.dgejsv(lower, joba=2)
    if failed:
        raise np.linalg.LinAlgError("Jacobi's method did not converge")
    values = values * (scale[0] / scale[1])
    return values[::-1] ** 2, left[:, ::-1], right[:, ::-1]


def _rank(matrix: Array, tolerance: float, device: str) -> int:
    """Return how many eigenvalues are above a tolerance, or about how many where some are not."""
    if device != "cpu":
        return int((eigh(matrix, device)[0] > tolerance).sum())
    # Pivoting is slow. Where G − tolerance·I has a plain factor, dead features left out, no
    # eigenvalue is below the tolerance.
    alive = matrix.diagonal() > tolerance
    if _exceeds(matrix if alive.all() else matrix[np.ix_(alive, alive)], tolerance):
        return int(alive.sum())
    return int(lapack.dpstrf(matrix, tol=tolerance)[2])


def _exceeds(matrix: Array, tolerance: float) -> bool:
    """Return whether every eigenvalue is above a tolerance."""
    shifted = matrix.copy()
    shifted[np.diag_indices_from(shifted)] -= tolerance
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return False
    return True


def largest_eigenvalue(gram: Array) -> float:
    """Return about the largest eigenvalue of a positive semi-definite matrix, by power iteration."""
    power = int(np.frexp(gram.diagonal().max(initial=0.0))[1])
    if abs(power) > _MOST_POWER:  # lengths of such columns are no numbers
        return float(np.ldexp(largest_eigenvalue(np.ldexp(gram, -power)), power))
    vector = gram[:, np.abs(gram).sum(axis=0).argmax()]
    length = float(np.linalg.norm(vector))
    for _ in range(10):
        if length == 0:
            break
        vector = gram @ (vector / length)
        length = float(np.linalg.norm(vector))
    return length
