"""What an option with a map would find, were the map fitted on all pairs.

Scores are taken with maps that saw neither the query nor the item (`plan_folds`). These are
fitted on fewer pairs, n(1 − 2/folds), and differ from block to block of a query's items, so they find
less. Both losses are proportional to 1/folds, to first order: the forecast is a linear extrapolation
to 1/folds = 0 from the folds and half as many of them (Richardson's).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.metrics import retrieval
from intertwine.studies.plan.candidates import candidates
from intertwine.studies.plan.folds import Folds
from intertwine.studies.plan.measure import K, listed
from intertwine.studies.plan.scores import Direction, cross_tables, native_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.maps.linear_map import LinearMap
    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array
    from intertwine.studies.plan.candidates import Candidate
    from intertwine.studies.plan.folds import FoldSums
    from intertwine.studies.plan.measure import Gains, Measure, Tables
    from intertwine.studies.plan.pairs import Pairs

    Progress = Callable[[str, int, int], None]
    Row = dict[str, Any]

# Pairs that candidates are compared on; all are fitted on.
COMPARED_ROWS = 2000
# By how much recall must be more, and in how many standard errors, for scaled vectors to be taken.
LEAST_GAIN, SURE_ERRORS = 0.01, 3.0
CURVE_SIZES = (25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


@dataclass(frozen=True)
class Forecast:
    """The forecast of one option with maps fitted on `pairs` or on a `proxy`.

    `tables` are scores with the coefficients that combine what they find, `gains` what they find,
    `candidate` the one to fit the final map with, `rows` the table of candidates, and `final` the
    recommended map, fitted on all rows. `gained` is the recall of the best candidate with lengths
    as they are, and with all vectors scaled to length 1, where the latter is what is forecast.
    """

    direction: Direction
    fit: str
    tables: Tables
    gains: Gains
    candidate: Candidate
    rows: list[Row]
    final: LinearMap
    gained: tuple[float, float] | None = None


def from_pairs(
    direction: Direction,
    folds: Folds,
    measure: Measure,
    progress: Progress = lambda *_: None,
    *,
    scaled: tuple[Direction, Folds] | None = None,
) -> Forecast:
    """Forecast an option with maps of the pairs themselves.

    For the queries of a fold the candidate is the one of the best recall among those of the other
    folds, so that choosing makes no forecast too good. `scaled` is the same with all vectors of
    length 1; it is used where it surely finds more.
    """
    total = folds.fine[0].whole.moments
    chosen = candidates(total, direction.source)
    recalls, cosines = compare(direction, folds.coarse[0], chosen, progress)
    gained = None
    if scaled is not None:
        other = scaled[1].fine[0].whole.moments
        others = candidates(other, direction.source)
        theirs = compare(scaled[0], scaled[1].coarse[0], others, progress)
        gained = surely_more(recalls, theirs[0])
        if gained is not None:
            (direction, folds), total, chosen, (recalls, cosines) = scaled, other, others, theirs
    best = int(recalls.mean(axis=1).argmax())
    fine, coarse = (
        [_nested(direction, sums, chosen, recalls, progress) for sums in draws]
        for draws in (folds.fine, folds.coarse)
    )
    tables = folds.extrapolated(fine, coarse)
    return Forecast(
        direction=direction,
        fit="pairs",
        tables=tables,
        gains=measure.of(tables),
        candidate=chosen[best],
        rows=_candidate_rows(direction, chosen, recalls, cosines, best),
        final=_final(direction, chosen[best], total),
        gained=gained,
    )


def _final(direction: Direction, chosen: Candidate, total: Moments) -> LinearMap:
    """Return the map to keep, which scales its input where the pairs were scaled."""
    fitted = chosen.final(total, direction.source, direction.target)
    return replace(fitted, unit_source=True) if direction.unit_source else fitted


def surely_more(recalls: Array, others: Array) -> tuple[float, float] | None:
    """Return the recalls of the best candidates of two kinds, where the other finds surely more.

    Both arguments hold the recall of every candidate and query, (n_candidates, n).
    """
    one, other = (each[int(each.mean(axis=1).argmax())] for each in (recalls, others))
    gain = other - one
    error = float(gain.std(ddof=1)) / np.sqrt(len(gain))
    sure = float(gain.mean()) > max(LEAST_GAIN, SURE_ERRORS * error)
    return (float(one.mean()), float(other.mean())) if sure else None


def _nested(
    direction: Direction,
    sums: FoldSums,
    chosen: Sequence[Candidate],
    recalls: Array,
    progress: Progress,
) -> Array:
    """Return one table, the queries of each fold under the best candidate of the other folds."""
    fold = sums.fold[: recalls.shape[1]]
    of_fold = [int(recalls[:, fold != each].mean(axis=1).argmax()) for each in range(sums.n_folds)]
    used = sorted(set(of_fold))
    step = _steps(progress, f"forecast of {direction.option} over", sums)
    tables, _ = cross_tables(direction, sums, [chosen[number] for number in used], step=step)
    by_query = np.array([used.index(number) for number in of_fold])[sums.fold]
    merged = tables[0]
    for number, table in enumerate(tables[1:], start=1):
        merged[by_query == number] = table[by_query == number]
    return merged


def from_proxy(
    direction: Direction,
    proxy: Pairs,
    folds: Folds,
    measure: Measure,
    progress: Progress = lambda *_: None,
    *,
    scaled: Folds | None = None,
) -> Forecast:
    """Forecast an option with maps fitted on other pairs, chosen among these alone.

    With lengths as they are, or, where that surely finds more, with the proxy's pairs `scaled` to
    length 1.
    """
    own = Direction(proxy, direction.option, direction.metric)
    sums = folds.coarse[0]
    total = sums.whole.moments
    chosen = candidates(total, own.source)
    recalls, cosines = compare(own, sums, chosen, progress)
    gained = None
    if scaled is not None:
        theirs_of = own.scaled(scaled.coarse[0].pairs)
        other = scaled.coarse[0].whole.moments
        others = candidates(other, own.source)
        theirs = compare(theirs_of, scaled.coarse[0], others, progress)
        gained = surely_more(recalls, theirs[0])
        if gained is not None:
            own, total, chosen, (recalls, cosines) = theirs_of, other, others, theirs
    best = int(recalls.mean(axis=1).argmax())
    final = _final(own, chosen[best], total)
    tables = [(1.0, direction.whole(final))]
    rows = _candidate_rows(own, chosen, recalls, cosines, best)
    gains = measure.of(tables)
    return Forecast(direction, "proxy", tables, gains, chosen[best], rows, final, gained)


def compare(
    direction: Direction,
    sums: FoldSums,
    chosen: Sequence[Candidate],
    progress: Progress = lambda *_: None,
) -> tuple[Array, Array]:
    """Return recall of every candidate and query, and cosines, (n_candidates, n_compared) each."""
    pairs = direction.pairs
    n = min(pairs.n, COMPARED_ROWS)
    step = _steps(progress, f"maps to {direction.option} with", sums)
    tables, cosines = cross_tables(direction, sums, chosen, n_rows=n, step=step)
    native = native_table(pairs, direction.metric, n)
    return np.array([plain_recall(native, table) for table in tables]), cosines


def plain_recall(native: Array, table: Array, k: int = K) -> Array:
    """Return the recall of every query, (n,)."""
    everybody = np.ones(len(native), bool)
    truth, lists = listed(native, k), listed(table, k)
    ranks = retrieval.ranks_in(truth, lists, len(native))
    near = retrieval.true_neighbours(truth, ranks, everybody, k)
    return retrieval.expected_gain(
        lists, near, lists.keeping(everybody), retrieval.recall_weights(k)
    )


def curve_gains(
    forecast: Forecast,
    measure: Measure,
    *,
    n_folds: int,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> list[tuple[int, Gains]]:
    """Return what the recommended candidate finds, fitted on nested subsets of the pairs.

    The forecast itself, with all pairs, is the last point.
    """
    direction = forecast.direction
    n = direction.pairs.n
    sizes = [size for size in CURVE_SIZES if size < n]
    points = []
    for number, size in enumerate(sizes):
        folds = Folds.of(direction.pairs, n_folds, seed=seed, first=size)
        fine, coarse = (
            cross_tables(direction, sums[0], [forecast.candidate])[0]
            for sums in (folds.fine, folds.coarse)
        )
        points.append((size, measure.of(folds.extrapolated(fine, coarse))))
        progress(f"fewer pairs to {direction.option} with", number + 1, len(sizes))
    return [*points, (n, forecast.gains)]


def _candidate_rows(
    direction: Direction, chosen: Sequence[Candidate], recalls: Array, cosines: Array, best: int
) -> list[Row]:
    return [
        {
            "source": direction.source,
            "target": direction.target,
            "method": each.method,
            "alpha": each.alpha,
            "recall_at_10": float(recalls[number].mean()),
            "mean_cosine": float(cosines[number].mean()),
            "chosen": number == best,
        }
        for number, each in enumerate(chosen)
    ]


def _steps(progress: Progress, what: str, sums: FoldSums) -> Callable[[], None]:
    total, done = len(sums.left_out()), 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(what, done, total)

    return step
