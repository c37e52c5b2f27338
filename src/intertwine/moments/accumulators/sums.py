"""Raw sums of several spaces about one origin, and their exact algebra.

With z = x − c for a fixed origin c, a `Sums` holds n, Σz, Σzzᵀ and, for debiased CKA, the sums that
involve q = ‖z‖² of each space. Sums about one origin add and subtract; sums about another origin
are first re-expressed by the exact formulas, without reading a row again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from intertwine.numerics.arrays import Array

# Σq of one block above this could overflow its products (float32), or Σq² (float64).
_NORM_LIMITS = {"float32": 1e37, "float64": 1e150}
# Where q of all rows is below this, products have lost digits.
_LEAST_NORMS = {"float32": 1e-36, "float64": 1e-290}


@dataclass
class Sums:
    """Sums over rows of the joint vector of several spaces about one origin, in float64.

    Spaces are in joint order. By space or pair: `first` is Σz, (d,); `second` Σ z_a z_bᵀ, (d_a,
    d_b), of which only the upper triangle counts for a pair (a, a); `norm_first` Σq, (n_spaces,);
    `norm_cross` Σ q zᵀ of every space's q with one space's z, (n_spaces, d); `norm_second` Σ q qᵀ,
    (n_spaces, n_spaces).
    """

    names: tuple[str, ...]
    n: int
    first: dict[str, Array]
    second: dict[tuple[str, str], Array]
    norm_first: Array
    norm_cross: dict[str, Array]
    norm_second: Array

    @classmethod
    def zeros(cls, dims: Mapping[str, int]) -> Sums:
        """Return the sums over no rows of spaces with these dimensions."""
        names = tuple(dims)
        k = len(names)
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i:]]
        return cls(
            names=names,
            n=0,
            first={a: np.zeros(dims[a]) for a in names},
            second={(a, b): np.zeros((dims[a], dims[b])) for a, b in pairs},
            norm_first=np.zeros(k),
            norm_cross={a: np.zeros((k, dims[a])) for a in names},
            norm_second=np.zeros((k, k)),
        )

    def add_norms(self, rows: int, norms: Array) -> None:
        """Add a block's number of rows, and what only needs their q, (n_spaces, rows)."""
        self.n += rows
        self.norm_first += norms.sum(axis=1)
        self.norm_second += norms @ norms.T

    def pair(self, a: str, b: str) -> Array:
        """Return Σ z_a z_bᵀ, (d_a, d_b), for any two of the spaces in any order."""
        if a == b:
            upper = np.triu(self.second[a, a])
            return upper + np.triu(upper, 1).T
        return self.second[a, b] if (a, b) in self.second else self.second[b, a].T

    def diagonal(self, a: str) -> Array:
        """Return the diagonal of Σ z_a z_aᵀ, (d_a,)."""
        return self.second[a, a].diagonal().copy()

    def combine(self, other: Sums, sign: int) -> None:
        """Add (`sign` 1) or subtract (`sign` −1) other sums about the same origin, in place."""
        self.n += sign * other.n
        for a in self.names:
            self.first[a] += sign * other.first[a]
            self.norm_cross[a] += sign * other.norm_cross[a]
        for pair in self.second:
            self.second[pair] += sign * other.second[pair]
        self.norm_first += sign * other.norm_first
        self.norm_second += sign * other.norm_second

    def select(self, names: Iterable[str]) -> Sums:
        """Return copies of the sums of some of the spaces, in this order."""
        names = tuple(names)
        index = [self.names.index(a) for a in names]
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i:]]
        return Sums(
            names=names,
            n=self.n,
            first={a: self.first[a].copy() for a in names},
            second={(a, b): np.array(self.pair(a, b)) for a, b in pairs},
            norm_first=self.norm_first[index].copy(),
            norm_cross={a: self.norm_cross[a][index].copy() for a in names},
            norm_second=self.norm_second[np.ix_(index, index)].copy(),
        )

    def shifted(self, delta: Mapping[str, Array]) -> Sums:
        """Return new sums about the origin c′ = c − delta, (d,) by space, so that z′ = z + delta.

        Uses ‖z′‖² = ‖z‖² + 2 δᵀz + ‖δ‖² for the squared norms.
        """
        n, first = self.n, self.first
        squares = np.array([delta[a] @ delta[a] for a in self.names])
        u_cross = {a: self._u_cross(delta, a) for a in self.names}
        norm_first, norm_second = self.shifted_norms(delta)
        return Sums(
            names=self.names,
            n=n,
            first={a: first[a] + n * delta[a] for a in self.names},
            second={
                (a, b): total
                + np.outer(first[a], delta[b])
                + np.outer(delta[a], first[b] + n * delta[b])
                for (a, b), total in self.second.items()
            },
            norm_first=norm_first,
            norm_cross={
                b: self.norm_cross[b]
                + 2 * u_cross[b]
                + np.outer(squares, first[b])
                + np.outer(norm_first, delta[b])
                for b in self.names
            },
            norm_second=norm_second,
        )

    def shifted_norms(self, delta: Mapping[str, Array]) -> tuple[Array, Array]:
        """Return Σq, (k,), and Σ q qᵀ, (k, k), of the k spaces of `delta`, as in `shifted`."""
        n, index = self.n, [self.names.index(a) for a in delta]
        norm_first, norm_second = self.norm_first[index], self.norm_second[np.ix_(index, index)]
        squares = np.array([shift @ shift for shift in delta.values()])
        # u = δᵀz of each space: its sum, and its sums with every q and u.
        u_first = np.array([shift @ self.first[a] for a, shift in delta.items()])
        u_norm = np.stack([self.norm_cross[a][index] @ shift for a, shift in delta.items()])
        u_second = np.stack([self._u_cross(delta, a) @ shift for a, shift in delta.items()])
        mixed = 2 * u_norm + np.outer(squares, norm_first)
        outer = 2 * np.outer(u_first, squares)
        second: Array = norm_second + mixed + mixed.T + 4 * u_second + outer + outer.T
        return norm_first + 2 * u_first + n * squares, second + n * np.outer(squares, squares)

    def _u_cross(self, delta: Mapping[str, Array], b: str) -> Array:
        """Return Σ u zᵀ, u = δᵀz of each space of `delta` with z of one space, (k, d_b)."""
        return np.stack([shift @ self.pair(a, b) for a, shift in delta.items()])


def check_norms(
    names: Iterable[str], norms: Array, precision: str, varies: Callable[[str], bool]
) -> None:
    """Raise InputError when the products of a block would overflow, or vanish.

    `norms` are q of the rows, (n_spaces, rows). Products are in float64 for precision `float64`,
    else in float32. `varies` is asked whether a space's rows differ only where norms are close to
    nothing.
    """
    # By Cauchy and Schwarz Σq bounds every sum of products of the block.
    exact = precision == "float64"
    kind, remedy = ("float64", "rescale them") if exact else ("float32", "use precision float64")
    for name, squares in zip(names, norms, strict=True):
        if not squares.sum() <= _NORM_LIMITS[kind]:
            raise InputError(f"{name}: features are too large for {precision} products; {remedy}")
        if squares.size and squares.max() < _LEAST_NORMS[kind] and varies(name):
            raise InputError(f"{name}: features are too small for {precision} products; {remedy}")
