"""Unlinkability: how far the scores of two templates reveal whether they are of one person.

Gomez-Barrero, Galbally, Rathgeb & Busch, *General framework to evaluate unlinkability in biometric
template protection systems*, IEEE Transactions on Information Forensics and Security 13 (2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

MAX_BINS = 100
# Mated scores a bin must have on average, as in the authors' own program.
PER_BIN = 10
PERMUTATIONS = 200


def n_bins(n_mated: int) -> int:
    """Return how many bins the histograms of scores have: n_mated / 10, within 2 … 100."""
    return int(np.clip(n_mated // PER_BIN, 2, MAX_BINS))


def d_sys(mated: Array, non_mated: Array) -> Array:
    """Return the global linkability D_sys of histograms: 0 unlinkable … 1 fully linkable.

    With LR = p(s | mated) / p(s | non-mated) and even prior odds, ω = 1, D(s) = 2 · LR / (1 + LR) −
    1 where LR > 1, else 0, and D_sys = Σ_s p(s | mated) · D(s), sums over bins in place of
    integrals. Noise in the histograms makes it positive even where there is nothing to link:
    compare it with `chance`.

    Both histograms are (…, n_bins) counts or weights of scores. Of leading axes the result has, as
    one axis, the entries where both histograms have weight; (0,) where none has.
    """
    mated, non_mated = (np.asarray(counts, np.float64) for counts in (mated, non_mated))
    totals = mated.sum(axis=-1), non_mated.sum(axis=-1)
    defined = (totals[0] > 0) & (totals[1] > 0)
    if not defined.all():
        mated, non_mated = mated[defined], non_mated[defined]
        totals = totals[0][defined], totals[1][defined]
    p, q = mated / totals[0][..., None], non_mated / totals[1][..., None]
    # 2 LR / (1 + LR) − 1 = (p − q) / (p + q), which needs no case for q = 0.
    local = np.divide(np.maximum(p - q, 0), p + q, out=np.zeros_like(p), where=p + q > 0)
    return np.asarray((p * local).sum(axis=-1))


def d_sys_of_scores(mated: Array, non_mated: Array) -> float | None:
    """Return D_sys of scores, from histograms of `n_bins` equal bins over all of them.

    None where either kind has no score.
    """
    if len(mated) == 0 or len(non_mated) == 0:
        return None
    ends = np.concatenate([mated, non_mated])
    edges = np.histogram_bin_edges(ends, n_bins(len(mated)))
    return float(d_sys(np.histogram(mated, edges)[0], np.histogram(non_mated, edges)[0]))


def chance(mated: Array, non_mated: Array, *, n: int = PERMUTATIONS, seed: int = 0) -> Array:
    """Return draws of D_sys where nothing links: mated and non-mated permuted over the scores.

    Permuting draws as many scores as were mated from all of them without replacement, which for
    histograms is the multivariate hypergeometric distribution. Both histograms are (n_bins,) whole
    counts; the draws are (n,), or (0,) where either is empty.
    """
    if any(not np.equal(np.floor(counts), counts).all() for counts in (mated, non_mated)):
        raise InputError("got weights, expected whole counts of scores to permute")
    mated, non_mated = mated.astype(np.int64), non_mated.astype(np.int64)
    if not mated.sum() or not non_mated.sum():
        return np.empty(0)
    both, rng = mated + non_mated, np.random.default_rng(seed)
    drawn = rng.multivariate_hypergeometric(both, int(mated.sum()), size=n, method="marginals")
    return d_sys(drawn, both - drawn)
