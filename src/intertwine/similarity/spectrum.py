"""The spectrum of one space: its scatter factored once, for every measure and every partner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.normal import Eigen, NormalEquations
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array


@dataclass(frozen=True)
class Spectrum:
    """Principal components of one space from its centred scatter S = V diag(values) Vᵀ.

    Of n rows: `values` (rank,) are the eigenvalues of S above rounding, descending, `vectors` (d,
    rank) the eigenvectors V as columns, and `total` is tr S, eigenvalues lost in rounding included.
    """

    name: str
    n: int
    values: Array
    vectors: Array
    total: float

    @classmethod
    def of(cls, moments: Moments, name: str) -> Spectrum:
        """Factor one space, or raise InputError where it does not vary over the rows."""
        moments.space(name)
        total = float(moments.scatter_diagonal(name).sum())
        if total <= 0:
            raise InputError(f"{name} does not vary over {counted(moments.n, 'row')}")
        equations = NormalEquations(moments, name)
        few = 2 * (moments.n - 1) < moments.spaces[name].dim
        eigen = Eigen.of(equations, few_rows=few)
        # n centred rows span at most n − 1 dimensions; more is rounding.
        rank = min(eigen.rank, max(moments.n - 1, 0))
        if rank == 0:
            raise InputError(f"{name} does not vary over {counted(moments.n, 'row')}")
        order = slice(None, -rank - 1, -1)  # eigenvalues come ascending
        return cls(name, moments.n, eigen.values[order], eigen.vectors[:, order], total)

    @property
    def rank(self) -> int:
        """Number of directions above rounding."""
        return len(self.values)

    @property
    def participation_ratio(self) -> float:
        """(Σ values)² / Σ values²: how many directions share the variance, 1 … rank."""
        # By a power of two, which changes no digit: squares of very large or small ones have none.
        values = np.ldexp(self.values, -np.frexp(self.values[0])[1])
        return float(values.sum() ** 2 / (values**2).sum())

    def components(self, variance: float) -> int:
        """Return how few leading components hold this share of the variance, at least one."""
        share = np.cumsum(self.values) / self.values.sum()
        return min(int(np.searchsorted(share, variance * (1 - 1e-12))) + 1, self.rank)


def spectrum_of(moments: Moments, name: str, known: dict[str, Spectrum] | None) -> Spectrum:
    """Return a space's spectrum from those known, or factor it now and add it to them."""
    if known is None:
        return Spectrum.of(moments, name)
    if name not in known:
        known[name] = Spectrum.of(moments, name)
    return known[name]
