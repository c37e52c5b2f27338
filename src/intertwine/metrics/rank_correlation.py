"""Rank correlation across networks, with a test that takes networks, not maps, as the sample."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from intertwine.metrics.intervals import percentile_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from intertwine.numerics.arrays import Array

MAX_EXACT = 7
DRAWS = 10_000
# Permutations ranked at a time.
BATCH = 500
# Fewer networks than this leave nothing to resample.
MIN_NETWORKS = 4
MIN_PAIRS = 3
BOOTSTRAP_DRAWS = 2000


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, or None when one side is constant."""
    rho = float(_correlations(np.array([x]), np.array(y))[0])
    return None if math.isnan(rho) else rho


def _correlations(x: Array, y: Array) -> Array:
    """Return Spearman's ρ of each row of x (k, m) with y (m,), NaN where one side is constant."""
    ranks, other = _centred_ranks(x), _centred_ranks(y[None])[0]
    norms = np.linalg.norm(ranks, axis=1) * np.linalg.norm(other)
    rho = np.full(len(ranks), np.nan)
    np.divide(ranks @ other, norms, out=rho, where=norms > 0)
    return np.asarray(np.clip(rho, -1.0, 1.0))


def _centred_ranks(x: Array) -> Array:
    ranks = np.asarray(rankdata(x, axis=1), np.float64)
    return np.asarray(ranks - ranks.mean(axis=1, keepdims=True))


def network_correlation(
    values: Mapping[str, float], rows: Sequence[tuple[str, float]], *, seed: int = 0
) -> tuple[float, float] | None:
    """Correlate a property of networks with a number of the maps that start from them.

    The maps of one network are not independent, so the null permutes the networks' values, not the
    maps: every permutation up to 7 networks, 10,000 random ones beyond. `values` holds the property
    by network, `rows` (network, number) of each map. Returns Spearman's ρ and its two-sided p
    value; None where ρ is undefined.
    """
    numbers = np.array([number for _, number in rows])
    names, property_ = list(values), np.array(list(values.values()), np.float64)
    owner = np.array([names.index(name) for name, _ in rows])  # (n_maps,)
    observed = spearman(property_[owner].tolist(), numbers.tolist())
    if observed is None:
        return None
    orders = _orders(len(names), seed)
    hits = 0
    for start in range(0, len(orders), BATCH):
        moved = property_[orders[start : start + BATCH]]  # (batch, n_networks)
        permuted = np.nan_to_num(_correlations(moved[:, owner], numbers))
        hits += int((np.abs(permuted) >= abs(observed) - 1e-12).sum())
    return observed, hits / len(orders)


def matrix_correlation(x: Array, y: Array, *, seed: int = 0) -> dict[str, Any]:
    """Correlate two numbers of ordered pairs of networks, with networks as what was sampled.

    Pairs that share a network are not independent. The interval is the percentile bootstrap over
    networks (a pair counts as often as both its networks were drawn; none is paired with its own
    copy); the two-sided p value permutes the networks of one matrix, rows and columns together.
    Mantel, *The detection of disease clustering and a generalized regression approach*, Cancer
    Research 27 (1967).

    Both matrices are (n_networks, n_networks), NaN where undefined; the diagonals are not read.
    Returns `spearman`, `ci_low`, `ci_high`, `p_value`, `n_pairs`, `n_networks`, and a `reason`
    where one of them is None.
    """
    known = np.isfinite(x) & np.isfinite(y) & ~np.eye(len(x), dtype=bool)
    used = np.flatnonzero(known.any(axis=0) | known.any(axis=1))
    x, y, known = (array[np.ix_(used, used)] for array in (x, y, known))
    n = len(used)
    row: dict[str, Any] = {"n_pairs": int(known.sum()), "n_networks": n}
    row |= dict.fromkeys(("spearman", "ci_low", "ci_high", "p_value", "reason"))
    if n < MIN_NETWORKS:
        return {**row, "reason": f"fewer than {MIN_NETWORKS} networks have both numbers"}
    if known.sum() < MIN_PAIRS:
        return {**row, "reason": f"fewer than {MIN_PAIRS} pairs of networks have both numbers"}
    rho = spearman(x[known].tolist(), y[known].tolist())
    if rho is None:
        return {**row, "reason": "one of the two numbers is the same for all pairs"}
    low, high = _network_bootstrap(x, y, known, seed)
    few = "too few draws of networks keep enough pairs: no interval"
    return {
        **row,
        "spearman": rho,
        "ci_low": low,
        "ci_high": high,
        "p_value": _mantel(x, y, known, rho, seed),
        "reason": few if low is None else None,
    }


def _network_bootstrap(
    x: Array, y: Array, known: Array, seed: int
) -> tuple[float, float] | tuple[None, None]:
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(BOOTSTRAP_DRAWS):
        chosen = rng.integers(len(x), size=len(x))
        grid = np.ix_(chosen, chosen)
        pairs = known[grid]  # never a network with its own copy: the diagonal is not known
        if len(np.unique(chosen)) >= MIN_NETWORKS - 1 and pairs.sum() >= MIN_PAIRS:
            drawn.append(spearman(x[grid][pairs].tolist(), y[grid][pairs].tolist()))
    defined = [rho for rho in drawn if rho is not None]
    if len(defined) < BOOTSTRAP_DRAWS / 2:
        return None, None
    return percentile_interval(np.array(defined))


def _mantel(x: Array, y: Array, known: Array, observed: float, seed: int) -> float:
    """Return the share of relabellings of the networks that correlate at least as strongly.

    Those that leave too few pairs to correlate are no evidence either way.
    """
    hits = total = 0
    for order in _orders(len(x), seed):
        grid = np.ix_(order, order)
        pairs = known[grid] & known
        if pairs.sum() < MIN_PAIRS:
            continue
        rho = spearman(x[grid][pairs].tolist(), y[pairs].tolist())
        total += 1
        hits += rho is not None and abs(rho) >= abs(observed) - 1e-12
    return hits / total


def _orders(n: int, seed: int) -> Array:
    """Return permutations of n networks, (n_orders, n)."""
    if n <= MAX_EXACT:
        return np.array(list(itertools.permutations(range(n))))
    orders = np.tile(np.arange(n), (DRAWS, 1))
    # The observed order stays one of the permutations, so that p is never zero.
    orders[1:] = np.random.default_rng(seed).permuted(orders[1:], axis=1)
    return orders
