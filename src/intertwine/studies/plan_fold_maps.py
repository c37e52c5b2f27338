"""What maps without two folds make of the pairs of these: in closed form, or from moments.

All is worked out in compact coordinates, of no more dimensions than there are pairs. Ridge finds the
same there. Procrustes does where its fit is unique. Where the cross-scatter has a smaller rank than
both spaces have dimensions, as with fewer pairs than these, it is one of many, and what it does with
the part of a vector that no fitted row has depends on how many dimensions there are to lose it in:
of 200 pairs of 1,280 and 1,024 dimensions compact coordinates found 15 % where full ones find 25 %.
Such maps are fitted in full.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from intertwine.studies.plan_candidates import fits
from intertwine.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.arrays import Array
    from intertwine.linear_map import LinearMap
    from intertwine.studies.plan_candidates import Candidate
    from intertwine.studies.plan_folds import FoldSums
    from intertwine.studies.plan_held_out import Smoother
    from intertwine.studies.plan_scores import Direction

# Rows left out, as a multiple of the source's dimensions, up to which the closed form is quicker.
# Seconds of eight λ in closed form and from moments: 384 dimensions, 0.06 and 0.12 of 200 rows, 0.15
# and 0.14 of 400; 1,280 dimensions, 2.4 and 3.5 of 1,000 rows, 9.0 and 4.8 of 2,000. One λ likewise.
MOST_LEFT_OUT = 1.0
# λ as a share of the mean eigenvalue from which the closed form is exact enough. Of fewer rows than
# dimensions its relative error is 1e-15 over that share, against 1e-15 of a refit: 1e-11 at the
# smallest λ of the grid, 1e-7 here.
LEAST_SHARE = 1e-8


class FoldMaps:
    """Maps of several candidates, each without any two folds.

    Parameters
    ----------
    direction
        The option.
    sums
        The folds.
    chosen
        The candidates.
    """

    def __init__(self, direction: Direction, sums: FoldSums, chosen: Sequence[Candidate]) -> None:
        self.direction, self.sums, self.chosen = direction, sums, chosen
        self.compact = replace(direction, pairs=direction.pairs.compact)
        self.ridges = [each for each in chosen if each.alpha is not None]
        self.alphas = [each.alpha for each in chosen if each.alpha is not None]
        self.smoother = self._smoother()
        self.fitted: list[Array] = []
        if self.smoother is not None:
            self.fitted = side_by_side(self.smoother.fitted, self.alphas)

    def mapped(self, f: int, g: int, rows: Array) -> Iterator[tuple[Direction, Array]]:
        """Give some pairs' mapped vectors under every candidate, fitted without two folds.

        Parameters
        ----------
        f, g
            The folds.
        rows
            The pairs asked for, k of them.

        Yields
        ------
        direction, mapped
            (k, d_target), and the option with native vectors in the same coordinates.
        """
        ridges = self._by_ridge(f, g, rows)
        for each in self.chosen:
            if each.alpha is None:
                where, fitted = self._procrustes(each, f, g)
                yield where, self.direction.scaled(where.applied(fitted, rows))
            else:
                yield self.compact, self.direction.scaled(next(ridges))

    def _smoother(self) -> Smoother | None:
        """Return ridge in closed form, or None where moments are quicker or more exact."""
        dim = self.compact.vectors.shape[1]
        if not self.ridges or 2 * self.sums.first > MOST_LEFT_OUT * dim * self.sums.n_folds:
            return None
        smoother = self.sums.whole.smoother(self.compact.source)
        least = LEAST_SHARE * float(smoother.values.sum()) / dim
        return smoother if min(self.alphas) > least else None

    def _by_ridge(self, f: int, g: int, rows: Array) -> Iterator[Array]:
        if self.smoother is None:
            where = self.compact
            moments = self.sums.without(f, g, compact=True)
            for each in fits(moments, where.source, where.target, self.ridges):
                yield where.applied(each, rows)
            return
        out = self.sums.rows(f, g)
        for alpha, fitted in zip(self.alphas, self.fitted, strict=True):
            yield self.smoother.without(out, alpha, fitted, rows)

    def _procrustes(self, each: Candidate, f: int, g: int) -> tuple[Direction, LinearMap]:
        """Return the map and the option in its coordinates, full ones where it is not unique."""
        full, where = self.direction, self.compact
        rank = min(full.pairs.source.dim, full.pairs.target.dim)
        n_fitted = self.sums.first - len(self.sums.rows(f, g))
        if where.pairs is not full.pairs and n_fitted > rank:
            fitted = each.fit(self.sums.without(f, g, compact=True), where.source, where.target)
            if fitted.info["rank"] == rank:
                return where, fitted
        return full, each.fit(self.sums.without(f, g), full.source, full.target)
