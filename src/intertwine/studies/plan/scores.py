"""Scores of every query with every item, under each option: what all tables are counted from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from intertwine.estimators import identity
from intertwine.numerics.linalg import is_unit, unit
from intertwine.parallel.threads import parallel_map
from intertwine.studies.plan.candidates import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array
    from intertwine.studies.plan.candidates import Candidate
    from intertwine.studies.plan.folds import FoldSums
    from intertwine.studies.plan.pairs import Pairs

    Blocks = list[tuple[int, int]]
    from collections.abc import Iterator

    from intertwine.studies.plan.held_out import Smoother

CONVERT, BRIDGE = "convert", "bridge"
OPTIONS = (CONVERT, BRIDGE)


def similarities(queries: Array, items: Array, metric: str) -> Array:
    """Return the scores of queries with items, larger is nearer, (n_queries, n_items) float32.

    The metric is `cosine`, `ip` (the inner product) or `l2` (minus the squared distance).
    """
    if metric == "l2":
        # In float64: of two large numbers that are nearly one, float32 leaves nothing.
        products = 2 * (queries @ items.T)
        products -= (queries**2).sum(axis=1)[:, None]
        products -= (items**2).sum(axis=1)
        return products.astype(np.float32)
    if metric == "cosine":
        queries, items = unit(queries), unit(items)
    return np.asarray(queries.astype(np.float32) @ items.astype(np.float32).T)


def without_self(table: Array) -> Array:
    """Return a table of scores in which no query finds itself; the table itself is changed."""
    np.fill_diagonal(table, -np.inf)
    return table


@dataclass(frozen=True)
class Direction:
    """One of the two options that need a map.

    With `convert` items are mapped to the new space, with `bridge` queries to the old one. New
    vectors of the pairs are the queries, old ones lie in the store. With `unit_source` the pairs'
    vectors that are mapped were scaled to length 1, which the final map then does as well.
    """

    pairs: Pairs
    option: str
    metric: str
    unit_source: bool = False

    def scaled(self, pairs: Pairs) -> Direction:
        """Return the same option with pairs that were scaled to length 1."""
        return Direction(pairs, self.option, self.metric, not is_unit(self.vectors))

    @property
    def source(self) -> str:
        """The space that the map leads from."""
        return (self.pairs.source if self.option == CONVERT else self.pairs.target).name

    @property
    def target(self) -> str:
        """The space that the map leads to."""
        return (self.pairs.target if self.option == CONVERT else self.pairs.source).name

    @cached_property
    def unit(self) -> bool:
        """Whether the native vectors of the space that the map leads to have length 1."""
        return is_unit(self.native)

    @property
    def rescale(self) -> bool:
        """Whether mapped vectors are scaled to length 1, as the native ones are."""
        return self.metric != "cosine" and self.unit

    @property
    def vectors(self) -> Array:
        """Every pair's vector in the space that the map leads from, (n, d_source)."""
        return self.pairs.a if self.option == CONVERT else self.pairs.b

    @property
    def native(self) -> Array:
        """Every pair's vector in the space that the map leads to, (n, d_target)."""
        return self.pairs.b if self.option == CONVERT else self.pairs.a

    def rescaled(self, found: Array) -> Array:
        """Return mapped vectors, scaled to length 1 where they have to be."""
        return unit(found) if self.rescale else found

    def mapped(self, fitted: LinearMap, rows: Array) -> Array:
        """Return some pairs' vectors as the map returns them, (k, d_target)."""
        return self.rescaled(fitted.apply(self.vectors[rows]))

    def scores(self, mapped: Array, others: Array) -> Array:
        """Return the scores of every query with every item, (n_queries, n_items).

        Mapped are the vectors of the items where these are converted, else of the queries; `others`
        are the pairs whose native vectors are on the other side.
        """
        if self.option == CONVERT:
            return similarities(self.native[others], mapped, self.metric)
        return similarities(mapped, self.native[others], self.metric)

    def cosines(self, mapped: Array, rows: Array) -> Array:
        """Return the cosine of some pairs' mapped vectors with the native ones, (k,)."""
        return np.asarray((unit(mapped) * unit(self.native[rows])).sum(axis=1))

    def whole(self, fitted: LinearMap) -> Array:
        """Return the table of one map for all pairs, (n, n): for a map that was fitted on others."""
        rows = np.arange(self.pairs.n)
        return without_self(self.scores(self.mapped(fitted, rows), rows))


def cross_tables(
    direction: Direction,
    sums: FoldSums,
    chosen: Sequence[Candidate],
    *,
    n_rows: int | None = None,
    step: Callable[[], None] = lambda: None,
) -> tuple[list[Array], Array]:
    """Return a table of scores for every candidate, each score by a map that saw neither item.

    Tables are (n_rows, n_rows) float32, −inf on the diagonal, and beside them stand the cosines of
    each mapped vector with the native one, (n_candidates, n_rows). Queries and items are the first
    `n_rows` pairs, all when it is None; `step` is called after each two folds.
    """
    n = direction.pairs.n if n_rows is None else n_rows
    members = [np.flatnonzero(sums.fold[:n] == fold) for fold in range(sums.n_folds)]
    tables = [np.empty((n, n), np.float32) for _ in chosen]
    cosines = np.empty((len(chosen), n))
    maps = FoldMaps(direction, sums, chosen)

    def work(held: tuple[int, int, Blocks]) -> None:
        f, g, blocks = held
        both = np.concatenate([members[f], members[g]])
        for number, mapped in enumerate(maps.mapped(f, g, both)):
            of = dict(zip((f, g), np.split(mapped, [len(members[f])]), strict=True))
            for query, item in blocks:
                moved, other = (item, query) if direction.option == CONVERT else (query, item)
                table = maps.compact.scores(of[moved], members[other])
                tables[number][np.ix_(members[query], members[item])] = table
                if query == item:
                    rows = members[query]
                    cosines[number, rows] = maps.compact.cosines(of[query], rows)
        step()

    parallel_map(work, sums.left_out())
    return [without_self(table) for table in tables], cosines


def native_table(pairs: Pairs, metric: str, n_rows: int | None = None) -> Array:
    """Return the scores of new queries with new vectors, of the first pairs or of all: the truth."""
    vectors = pairs.b[:n_rows]
    return without_self(similarities(vectors, vectors, metric))


def stay_table(pairs: Pairs, metric: str) -> Array:
    """Return the scores of old queries with old vectors: what there is today."""
    return without_self(similarities(pairs.a, pairs.a, metric))


def nothing_table(pairs: Pairs, metric: str) -> Array:
    """Return the scores of new queries with old vectors, zero-padded or cut to one dimension."""
    items = identity(pairs.source, pairs.target).apply(pairs.a)
    return without_self(similarities(pairs.b, items, metric))


# Rows left out, as a multiple of the source's dimensions, up to which the closed form is quicker.
# Seconds of eight λ in closed form and from moments: 384 dimensions, 0.06 and 0.12 of 200 rows, 0.15
# and 0.14 of 400; 1,280 dimensions, 2.4 and 3.5 of 1,000 rows, 9.0 and 4.8 of 2,000. One λ likewise.
MOST_LEFT_OUT = 1.0
# λ as a share of the mean eigenvalue from which the closed form is exact enough. Of fewer rows than
# dimensions its relative error is 1e-15 over that share, against 1e-15 of a refit: 1e-11 at the
# smallest λ of the grid, 1e-7 here.
LEAST_SHARE = 1e-8


class FoldMaps:
    """Maps of several candidates, each without any two folds."""

    def __init__(self, direction: Direction, sums: FoldSums, chosen: Sequence[Candidate]) -> None:
        self.sums, self.chosen = sums, chosen
        self.compact = replace(direction, pairs=direction.pairs.compact)
        alphas = [each.alpha for each in chosen if each.alpha is not None]
        self.smoother = self._smoother(alphas)
        # Vectors mapped by ridge of all pairs, for each λ.
        self.fitted: dict[float, Array] = {}
        if self.smoother is not None:
            fitted = parallel_map(self.smoother.fitted, alphas)
            self.fitted = dict(zip(alphas, fitted, strict=True))
        if len(self.fitted) < len(chosen):
            sums.sum_up()

    def mapped(self, f: int, g: int, rows: Array) -> Iterator[Array]:
        """Yield some pairs' mapped vectors under every candidate, fitted without folds f and g.

        Each is (k, d_target), in the coordinates of `compact`.
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
                of_all = self.fitted[each.alpha]
                yield where.rescaled(self.smoother.without(out, each.alpha, of_all, rows))

    def _smoother(self, alphas: list[float]) -> Smoother | None:
        """Return ridge in closed form, or None where moments are quicker or more exact."""
        dim = self.compact.vectors.shape[1]
        if not alphas or 2 * self.sums.first > MOST_LEFT_OUT * dim * self.sums.n_folds:
            return None
        smoother = self.sums.whole.smoother(self.compact.source)
        least = LEAST_SHARE * float(smoother.values.sum()) / dim
        return smoother if min(alphas) > least else None
