"""Identification: from the scores of probes against a gallery of people to CMC and TPIR at FPIR.

Closed set: every probe's person is enrolled, and the rank of that person among all is what counts.
Open set: some probes' people are not enrolled, and a threshold has to keep them out. Grother, Ngan
& Hanaoka, *Face Recognition Vendor Test Part 2: Identification*, NISTIR 8271 (2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.metrics.verification import roc
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array


def ranks(scores: Array, own: Array) -> Array:
    """Return the rank of each probe's own person, (n_probes,) int64, 1 for the best.

    The rank is the number of people that score at least as well, larger being more alike: equal
    scores count against the probe, so that a system that cannot tell people apart ranks everybody
    last. `scores` is (n_probes, n_people), `own` (n_probes,) the column of each probe's person.
    """
    mine = np.take_along_axis(scores, own[:, None], axis=1)
    return np.asarray((scores >= mine).sum(axis=1))


def cmc(rank: Array, depth: int, weights: Array | None = None) -> Array:
    """Return the cumulative match characteristic: the share of probes found by each rank.

    `found` (n_probes,) are ranks and `depth` the last rank wanted. The weights are (n_probes,) or
    (n_replicates, n_probes), not all 0; None is 1 each. Rates are (depth,) or (n_replicates,
    depth), ascending; entry k − 1 is the rate of rank k.
    """
    if len(rank) == 0 or depth < 1:
        raise InputError(
            f"got {counted(len(rank), 'probe')} and depth {depth}, expected at least 1 of each"
        )
    weights = np.ones(len(rank)) if weights is None else weights
    steps = (rank[:, None] == np.arange(1, depth + 1)).astype(np.float64)  # (n_probes, depth)
    hits = np.cumsum(weights @ steps, axis=-1)
    return np.asarray(hits / weights.sum(axis=-1)[..., None])


def tpir_at_fpir(
    mates: Array,
    correct: Array,
    impostors: Array,
    fpir: float,
    weights: tuple[Array, Array] | None = None,
) -> Array:
    """Return the true positive identification rate at a false positive one.

    A search answers with the best person if that score is above the threshold. FPIR is the share of
    searches by people who are not enrolled that are answered; TPIR the share of searches by
    enrolled people that are answered with the right one. It is the largest TPIR among thresholds
    with FPIR at most `fpir`, nothing between them; below 1 / n_impostors none may be answered.

    `mates` and `correct` (n_mates,) are the best score of each search by an enrolled person, and
    whether it was the right one; `impostors` (n_impostors,) the best score of each other search.
    The weights are (…, n_mates) and (…, n_impostors). The rate is () or (n_defined,): replicates
    without mates or without impostors are left out; (0,) where nothing is defined. At an FPIR of 1
    no threshold is left, which raises InputError.
    """
    if not 0 <= fpir < 1:
        raise InputError(f"got FPIR {fpir}, expected a number of at least 0 and below 1")
    if len(mates) == 0 or len(impostors) == 0:
        return np.empty(0)
    scores = np.concatenate([np.where(correct, mates, np.inf), impostors])
    # A wrong answer is no hit at any threshold: it is put where only an FPIR of 1 reaches.
    scores[np.isinf(scores)] = scores[np.isfinite(scores)].min() - 1
    same = np.arange(len(scores)) < len(mates)
    curve = roc(scores, same, None if weights is None else np.concatenate(weights, axis=-1))
    return np.empty(0) if curve is None else curve.tar_at(fpir)
