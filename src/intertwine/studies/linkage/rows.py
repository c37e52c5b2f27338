"""Searches of the linkage study as the rows of its report: rates alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binom

from intertwine.metrics import ranking, unlinkability
from intertwine.metrics.intervals import (
    CONFIDENCE,
    bootstrap_interval,
    people_counts,
    percentile_interval,
)
from intertwine.studies.linkage.tables import TPIR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.studies.linkage.people import People
    from intertwine.studies.linkage.search import Searches

Row = dict[str, Any]

FPIR = 0.01
DEPTHS = (1, 5, 10)
CMC_RANKS = (*range(1, 11), 20, 50, 100, 200, 500, 1000)
TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Resample:
    """How often each person's probes count in each bootstrap sample of people.

    The gallery and the maps stay as they are; only the people who are searched for are sampled.
    """

    people: People
    n_replicates: int
    seed: int = 0

    @cached_property
    def counts(self) -> Array:
        """(n_replicates, n_searched)."""
        return people_counts(len(self.people.searched), self.n_replicates, seed=self.seed)

    def weights(self, chosen: Array) -> Array:
        """Return the weight of some probes, (n_replicates, n_chosen)."""
        return np.asarray(self.counts[:, self.people.place[chosen]])


def rate_row(searches: Searches, resample: Resample) -> Row:
    """Return the numbers of one condition, each with its interval and with what chance reaches."""
    enrolled = np.flatnonzero(searches.enrolled)
    row: Row = {}
    for depth, rate in zip(DEPTHS, _rank_rates(searches, resample, DEPTHS), strict=True):
        row |= _with_ends(f"rank{depth}", *rate)
    row |= _with_ends(TPIR, *_tpir(searches, resample, enrolled))
    row |= _d_sys(searches, resample)
    guess, n = 1 / searches.n_gallery, len(enrolled)
    row |= {
        "chance": guess,
        "chance_low": float(binom.ppf(TAIL, n, guess)) / n,
        "chance_high": float(binom.ppf(1 - TAIL, n, guess)) / n,
        f"{TPIR}_chance": FPIR * guess,
        "n_gallery": searches.n_gallery,
        "n_templates": searches.n_templates,
        "n_probes": n,
        "n_people": len(resample.people.shared),
        "n_impostors": len(searches.enrolled),
        "reason": None,
    }
    return row


def cmc_rows(searches: Searches) -> list[Row]:
    """Return the cumulative match characteristic at the ranks that are shown."""
    shown = [rank for rank in CMC_RANKS if rank <= searches.n_gallery]
    rates = ranking.cmc(searches.ranks[searches.enrolled], shown[-1])
    return [
        {"rank": rank, "rate": float(rates[rank - 1]), "chance": rank / searches.n_gallery}
        for rank in shown
    ]


def linkable_rows(pairs: Sequence[Row]) -> list[Row]:
    """Return how many known pairs make each gallery linkable: the question of the audit.

    By source and target: the fewest known pairs with the low end of rank 1 above the high end of
    chance, and with rank 1 at least half of what the target's own probes reach; from known pairs
    alone, and again after self-training where the sides overlap most of the overlaps tried.
    """
    native = {row["target"]: row["rank1"] for row in pairs if row["condition"] == "native"}
    others = [row for row in pairs if row["condition"] != "native"]
    trained = max(
        (row["overlap"] for row in others if row.get("overlap") is not None), default=None
    )
    rows = []
    for source, target in dict.fromkeys((row["source"], row["target"]) for row in others):
        of_pair = [
            row
            for row in others
            if (row["source"], row["target"]) == (source, target) and row["rank1"] is not None
        ]
        alone = [row for row in of_pair if row.get("overlap") is None]
        after = [
            row
            for row in of_pair
            if row["condition"] == "unmapped"
            or (trained is not None and row.get("overlap") == trained)
        ]
        own = native.get(target)
        above, half = _from(alone, own)
        reasons = ["never above chance"] if above is None else []
        if own is None:
            reasons.append("the probe set does not hold the target's own space")
        elif half is None:
            reasons.append("never half of the target's own rank 1")
        above_trained, half_trained = (None, None) if trained is None else _from(after, own)
        rows.append(
            {
                "source": source,
                "target": target,
                "above_chance_from": above,
                "half_of_native_from": half,
                "above_chance_from_self_trained": above_trained,
                "half_of_native_from_self_trained": half_trained,
                "reason": "; ".join(reasons) or None,
            }
        )
    return rows


def _from(rows: Sequence[Row], native: float | None) -> tuple[int | None, int | None]:
    """Return the fewest known pairs that clear chance, and that reach half of the native rate."""
    above = _fewest(row for row in rows if (row["rank1_low"] or 0) > (row["chance_high"] or 0))
    half = None if native is None else _fewest(row for row in rows if row["rank1"] >= native / 2)
    return above, half


def _fewest(rows: Iterable[Row]) -> int | None:
    return min((int(row["known_pairs"]) for row in rows), default=None)


def _rank_rates(
    searches: Searches, resample: Resample, depths: Sequence[int]
) -> list[tuple[float, tuple[float, float] | None]]:
    """Return the rate of each rank with its interval."""
    people = resample.people.place[searches.enrolled]
    n_people = len(resample.people.searched)
    n_searches = np.bincount(people, minlength=n_people).astype(np.float64)
    drawn = resample.counts @ n_searches  # (n_replicates,)
    rates = []
    for depth in depths:
        hit = searches.ranks[searches.enrolled] <= depth
        hits = resample.counts @ np.bincount(people, weights=hit, minlength=n_people)
        draws = hits[drawn > 0] / drawn[drawn > 0]
        rates.append((float(hit.mean()), bootstrap_interval(draws, resample.n_replicates)))
    return rates


def _tpir(
    searches: Searches, resample: Resample, enrolled: Array
) -> tuple[float | None, tuple[float, float] | None]:
    scores = searches.mate[enrolled], searches.correct[enrolled], searches.impostor
    value = ranking.tpir_at_fpir(*scores, FPIR)
    weights = resample.weights(enrolled), resample.weights(np.arange(len(searches.impostor)))
    draws = ranking.tpir_at_fpir(*scores, FPIR, weights)
    return float(value), bootstrap_interval(draws, resample.n_replicates)


def _d_sys(searches: Searches, resample: Resample) -> Row:
    """Return D_sys, its interval, and D_sys of permuted scores.

    Noise in histograms raises D_sys, and a bootstrap sample has it twice over: its draws are moved
    to stand about the value itself.
    """
    mated, non_mated = _histograms(searches)  # (n_searched, n_bins)
    value = float(unlinkability.d_sys(mated.sum(axis=0), non_mated.sum(axis=0)))
    counts = resample.counts
    draws = unlinkability.d_sys(counts @ mated, counts @ non_mated)
    draws = np.clip(draws + (value - draws.mean()), 0, 1)
    null = unlinkability.chance(mated.sum(axis=0), non_mated.sum(axis=0), seed=resample.seed)
    return {
        **_with_ends("d_sys", value, bootstrap_interval(draws, resample.n_replicates)),
        **_with_ends("d_sys_chance", float(null.mean()), percentile_interval(null)),
    }


def _histograms(searches: Searches) -> tuple[Array, Array]:
    """Return histograms in about equal bins from the smallest score to the largest."""
    used = np.flatnonzero(searches.mated.sum(axis=0) + searches.non_mated.sum(axis=0))
    n_bins = unlinkability.n_bins(int(searches.mated.sum()))
    edges = np.unique(np.linspace(used[0], used[-1] + 1, n_bins + 1).round().astype(np.int64))[:-1]
    mated, non_mated = (
        np.add.reduceat(grid, edges, axis=1).astype(np.float64)
        for grid in (searches.mated, searches.non_mated)
    )
    return mated, non_mated


def _with_ends(name: str, value: float | None, ends: tuple[float, float] | None) -> Row:
    low, high = ends or (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}
