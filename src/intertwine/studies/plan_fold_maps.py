"""What maps without two folds make of the pairs of these: in closed form, or from moments.

All is worked out in compact coordinates, of no more dimensions than there are pairs, in which every
candidate finds the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from intertwine.studies.plan_candidates import fits
from intertwine.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.arrays import Array
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
        self.sums, self.chosen = sums, chosen
        self.compact = replace(direction, pairs=direction.pairs.compact)
        alphas = [each.alpha for each in chosen if each.alpha is not None]
        self.smoother = self._smoother(alphas)
        # What ridge of all pairs gives, for each λ.
        self.fitted: dict[float, Array] = {}
        if self.smoother is not None:
            found = side_by_side(self.smoother.fitted, alphas)
            self.fitted = dict(zip(alphas, found, strict=True))
        if len(self.fitted) < len(chosen):
            sums.sum_up()

    def mapped(self, f: int, g: int, rows: Array) -> Iterator[Array]:
        """Give some pairs' mapped vectors under every candidate, fitted without two folds.

        Parameters
        ----------
        f, g
            The folds.
        rows
            The pairs asked for, k of them.

        Yields
        ------
        mapped
            (k, d_target), in the coordinates of `compact`.
        """
        where = self.compact
        if self.smoother is None:
            moments = self.sums.without(f, g)
            for fitted in fits(moments, where.source, where.target, self.chosen):
                yield where.mapped(fitted, rows)
            return
        out = self.sums.rows(f, g)
        for each in self.chosen:
            if each.alpha is None:
                fitted = each.fit(self.sums.without(f, g), where.source, where.target)
                yield where.mapped(fitted, rows)
            else:
                kept = self.fitted[each.alpha]
                yield where.rescaled(self.smoother.without(out, each.alpha, kept, rows))

    def _smoother(self, alphas: list[float]) -> Smoother | None:
        """Return ridge in closed form, or None where moments are quicker or more exact."""
        dim = self.compact.vectors.shape[1]
        if not alphas or 2 * self.sums.first > MOST_LEFT_OUT * dim * self.sums.n_folds:
            return None
        smoother = self.sums.whole.smoother(self.compact.source)
        least = LEAST_SHARE * float(smoother.values.sum()) / dim
        return smoother if min(alphas) > least else None
