"""Rank correlation across networks, with a test that respects who the networks are."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.arrays import Array

MAX_EXACT = 7
DRAWS = 10_000
# Permutations ranked at a time.
BATCH = 500


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
    """Correlate a property of networks with a number of maps that start from them.

    The maps of one network are not independent, so the null permutes the networks' values, not the
    maps: every permutation up to 7 networks, 10,000 random ones beyond.

    Parameters
    ----------
    values
        The property by network.
    rows
        (network, number) of each map.
    seed
        Of the random permutations.

    Returns
    -------
    correlation, p_value
        Spearman's ρ and its two-sided p value; None where ρ is undefined.
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


def _orders(n: int, seed: int) -> Array:
    """Return permutations of n networks, (n_orders, n)."""
    if n <= MAX_EXACT:
        return np.array(list(itertools.permutations(range(n))))
    orders = np.tile(np.arange(n), (DRAWS, 1))
    # The observed order stays one of the permutations, so that p is never zero.
    orders[1:] = np.random.default_rng(seed).permuted(orders[1:], axis=1)
    return orders
