"""Rows of the pairs that are no pairs: one item's old vector beside another item's new one.

Ridge of all other pairs maps each old vector (leave-one-out, in closed form). Of a true pair the
mapped vector and the new one are nearer to each other than to almost all others; of a row that is no
pair they are as near as chance has it, so the share of others that are nearer is uniform on 0 … 1.
Rows beyond a quarter are counted. Where two models have little in common true pairs lie there too,
but thin out towards 1: only an even spread, apart from the true pairs, is taken for misalignment.

Of 108 random sets of 100 and 300 true pairs (images, faces, sentences) none was told to be misaligned;
of 42 sets of 300 of networks that were trained, 2 % of the rows exchanged, 41 were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh
from scipy.stats import binom

from intertwine.numerics.linalg import unit
from intertwine.studies.plan.candidates import RIDGE_SHARES
from intertwine.studies.plan.held_out import Smoother

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array
    from intertwine.studies.plan.pairs import Pairs

# Shares of others that are nearer: true pairs lie below the first, rows that are no pairs are counted
# beyond the second.
NEAR, FAR = 0.05, 0.25
# Fewer rows than this, or a smaller share, may be true pairs of odd items.
FEWEST, LEAST_SHARE = 3, 0.01
# From here on the two spaces have nothing in common, or all rows are misaligned.
MOST_SHARE = 0.7
# An even spread of no pairs is ruled out where the rows seen are less likely than this.
DOUBT = 0.01
NAMED = 5
# By chance hardly two of many rows find their best partner as many rows away.
SHIFTED = 0.2


@dataclass(frozen=True)
class Misaligned:
    """About how many rows look misaligned, and some of them by their number, the surest first.

    `shift` is how many rows further down the set the right partner of many of them stands; None
    where there is no one such number.
    """

    count: int
    rows: Array
    shift: int | None


def misaligned(pairs: Pairs, metric: str) -> Misaligned | None:
    """Return the rows that look as if they were no pairs; None where there are hardly any."""
    scores = own_scores(pairs, metric)
    nearer = share_nearer(scores, pairs.groups)
    far = int((nearer > FAR).sum())
    if far < max(FEWEST, LEAST_SHARE * pairs.n) or not _spread_evenly(nearer):
        return None
    count = round(far / (1 - FAR))
    if count > MOST_SHARE * pairs.n:
        return None
    suspects = np.argsort(-nearer, kind="stable")[:far]
    return Misaligned(count, suspects[:NAMED], _shift(pairs, scores, suspects))


def own_scores(pairs: Pairs, metric: str) -> Array:
    """Return the cosine of every item's mapped old vector with every new one, (n, n) float32."""
    within = pairs.compact
    a, b = (unit(each) if metric == "cosine" else each for each in (within.a, within.b))
    mapped = left_out_one(a, b)
    return np.asarray(_directions(mapped) @ _directions(b).T)


def _directions(rows: Array) -> Array:
    return unit(rows - rows.mean(axis=0)).astype(np.float32)


def left_out_one(x: Array, y: Array) -> Array:
    """Return what ridge of all other rows makes of each row of x, (n, d_target); λ has least error."""
    centred = x - x.mean(axis=0)
    values, vectors = eigh(centred.T @ centred)
    sure = values > len(x) * np.finfo(np.float64).eps * values[-1]
    smoother = Smoother(y, len(x), values[sure], centred @ vectors[:, sure])
    best, least = y, np.inf
    for share in RIDGE_SHARES:
        alpha = share * float(values.sum()) / x.shape[1]
        leverage = (smoother.scores**2 / (smoother.values + alpha)).sum(axis=1) + 1 / len(x)
        errors = (y - smoother.fitted(alpha)) / (1 - leverage)[:, None]
        error = float((errors**2).sum())
        if error < least:
            best, least = y - errors, error
    return best


def share_nearer(scores: Array, groups: Array | None = None) -> Array:
    """Return the share of others nearer than an item's own partner, (n,), the mean of both sides.

    An item's own score is on the diagonal. Near copies of one item, by `groups`, are not counted
    among its others.
    """
    own_scores = np.diag(scores)
    group = np.arange(len(scores)) if groups is None else groups
    nearer, others = np.zeros(len(scores)), len(scores) - np.bincount(group)[group]
    for each in (scores, scores.T):
        for row, mine in enumerate(own_scores):
            beyond = each[row] >= mine
            nearer[row] += beyond.sum() - beyond[group == group[row]].sum()
    return np.asarray(nearer / (2 * np.maximum(others, 1)))


def _spread_evenly(nearer: Array) -> bool:
    """Return whether the rows that are far off are spread as rows of no pairs are, and set apart."""
    off, far, beyond_half = (int((nearer > edge).sum()) for edge in (NEAR, FAR, 0.5))
    # Of rows that are no pairs so many lie below each edge.
    below, between = far * NEAR / (1 - FAR), off - far - far * (FAR - NEAR) / (1 - FAR)
    apart = off - far <= 2 * far and 2 * between <= len(nearer) - off - below
    even = (0.5 - FAR) / (1 - FAR)
    return bool(apart and binom.sf(far - beyond_half - 1, far, even) >= DOUBT)


def _shift(pairs: Pairs, scores: Array, suspects: Array) -> int | None:
    if pairs.rows is None:
        return None
    steps = pairs.rows[scores[suspects].argmax(axis=1)] - pairs.rows[suspects]
    found, counts = np.unique(steps, return_counts=True)
    most = int(counts.argmax())
    many = max(FEWEST, SHIFTED * len(suspects))
    return int(found[most]) if counts[most] >= many else None
