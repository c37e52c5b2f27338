"""Generalised cross-validation: λ from moments alone.

Golub, Heath & Wahba, *Generalized cross-validation as a method for choosing a good ridge
parameter*, Technometrics 21 (1979).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intertwine.estimators.normal import Eigen
    from intertwine.numerics.arrays import Array

# The default grid: λ as a share of the mean eigenvalue of the source's scatter, tr S / rank S. It
# asks the same of a source in any unit: c times the features take c² times the λ.
SHARES = np.logspace(-9, 3, 49)
# λ itself, for rows in thousands with features of about unit scale: a grid to ask for.
ALPHAS = np.logspace(-3, 6, 37)
# Notes on a choice.
NO_CANDIDATE = "no λ of the grid is a GCV candidate"
LOWER, UPPER = (f"GCV chose the {end} edge of the grid" for end in ("lower", "upper"))
NOTES = (NO_CANDIDATE, LOWER, UPPER)
# No candidate: a λ that leaves less than this share of the rows as degrees of freedom …
MIN_FREE_SHARE = 0.01
# … or whose residual is below this share of the power, where rounding has lost its digits.
MIN_RESIDUAL_SHARE = 1e-6


def kind_of_note(notes: Iterable[str]) -> str:
    """Return which of `NOTES` a map's notes hold, without its numbers; empty where none."""
    return next((kind for note in notes for kind in NOTES if note.startswith(kind)), "")


def check_grid(alphas: Array) -> Array:
    """Return a grid of λ as float64, or raise InputError unless it is positive and ascending."""
    alphas = np.asarray(alphas, np.float64)
    positive = np.isfinite(alphas).all() and (alphas > 0).all()
    if alphas.size == 0 or not positive or (np.diff(alphas) <= 0).any():
        raise InputError(f"got alphas {alphas.tolist()}, expected positive ascending numbers")
    return alphas


@dataclass(frozen=True)
class GCV:
    """GCV scores over a grid of λ, for one source and one target space.

    score_j(λ) = n · RSS_j(λ) / (n − df(λ))², from the grid `alphas` (n_alphas,), the residual sums
    of squares `residual` (n_alphas, d_target), the trace `df` (n_alphas,) of the hat matrix, which
    includes a free intercept's 1, and `power` (d_target,), ‖Y_j‖².
    """

    alphas: Array
    residual: Array
    df: Array
    power: Array
    n: int

    @classmethod
    def of(
        cls,
        eigen: Eigen,
        rotated: Array,
        power: Array,
        *,
        n: int,
        unpenalised: int,
        alphas: Array | None,
    ) -> GCV:
        """Evaluate a grid of positive ascending λ; None is `SHARES` of the mean eigenvalue.

        `rotated` is the (rank, d_target) right-hand side in eigenvector coordinates, `power`
        (d_target,) ‖Y_j‖², and `unpenalised` the degrees of freedom outside the penalty.
        """
        alphas = SHARES * eigen.mean if alphas is None else check_grid(alphas)
        shrunk = eigen.values / (eigen.values + alphas[:, None])  # (n_alphas, rank)
        explained = (shrunk * (2 - shrunk)) @ (rotated / np.sqrt(eigen.values)[:, None]) ** 2
        df = eigen.df(alphas) + unpenalised
        return cls(alphas, power - explained, df, power, n)

    def scores(self, *, per_target: bool) -> Array:
        """Return scores, infinite where λ is no candidate.

        They are (n_alphas, d_target) with `per_target`, else (n_alphas,) of the sum over targets.
        """
        residual, power = self.residual, self.power
        if not per_target:
            residual, power = residual.sum(axis=1, keepdims=True), power.sum(keepdims=True)
        free = self.n - self.df
        candidate = (free >= MIN_FREE_SHARE * self.n)[:, None] & (
            residual >= MIN_RESIDUAL_SHARE * power
        )
        candidate &= power > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = self.n * residual / (free**2)[:, None]
        scores = np.where(candidate, scores, np.inf)
        return scores if per_target else scores[:, 0]

    def choose(self, *, per_target: bool) -> tuple[Array, list[str]]:
        """Return the best λ of each target, (d_target,), equal unless `per_target`, and notes.

        Where no λ is a candidate it is the smallest with enough degrees of freedom left, or the
        largest of the grid when none has enough. The notes name chosen edges and missing
        candidates.
        """
        scores = self.scores(per_target=per_target)
        scores = scores if per_target else scores[:, None]
        index = np.argmin(scores, axis=0)  # the first minimum
        none = ~np.isfinite(scores).any(axis=0)
        enough = np.flatnonzero(self.n - self.df >= MIN_FREE_SHARE * self.n)
        index[none] = enough[0] if enough.size else len(self.alphas) - 1
        notes = []
        if none.any():
            notes.append(f"{NO_CANDIDATE} for {none.sum()} of {none.size}")
        for edge, end in ((0, LOWER), (len(self.alphas) - 1, UPPER)):
            at_edge = int(((index == edge) & ~none).sum())
            if at_edge:
                notes.append(
                    f"{end}, {self.alphas[edge]:g}, for {at_edge} of {index.size}; widen it with "
                    "--alphas"
                )
        return np.broadcast_to(self.alphas[index], self.power.shape), notes
