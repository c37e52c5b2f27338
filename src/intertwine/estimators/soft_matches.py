"""Soft matches: how likely two rows of two sides belong together, where each must choose the other.

With t_ij = 2⟨a_i, b_j⟩ − r_i − r_j, where r is the mean cosine of a row's K nearest on the other side
(CSLS: Conneau et al., *Word translation without parallel data*, ICLR, 2018), it is
p_ij = softmax_j(t_ij/τ) · softmax_i(t_ij/τ): Rocco et al., *Neighbourhood consensus networks*, NeurIPS
(2018). Cosines are computed in blocks, each kept no longer than its rows' nearest are sought.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from intertwine.parallel.threads import one_by_one, parallel_map

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

# K of CSLS, and how many candidates each row has.
NEIGHBOURS = 10
# τ as a share of the standard deviation of all cosines between the two sides.
TEMPERATURE = 0.9
# A pair that chose each other first is refitted on where p_ij is at least this.
CONFIDENT = 0.3
# Cosines held at a time by a thread, and columns that are compared as one.
BLOCK_SCORES, GROUP = 4_000_000, 16


@dataclass(frozen=True)
class Matches:
    """Candidate matches of unpaired rows: `probability` p_ij of source row i and target row j.

    `shape` are the numbers of rows of both sides.
    """

    rows: Array
    columns: Array
    probability: Array
    shape: tuple[int, int]

    def sparse(self) -> csr_array:
        """Return p, (n_source, n_target)."""
        return csr_array((self.probability, (self.rows, self.columns)), self.shape)

    def confident(self) -> tuple[Array, Array]:
        """Return the source and target rows of matches that are the best of both and likely."""
        best = [np.zeros(n) for n in self.shape]
        for highest, each in zip(best, (self.rows, self.columns), strict=True):
            np.maximum.at(highest, each, self.probability)
        likely = (
            (self.probability >= CONFIDENT)
            & (self.probability >= best[0][self.rows])
            & (self.probability >= best[1][self.columns])
        )
        return self.rows[likely], self.columns[likely]


def match(source: Array, target: Array) -> Matches:
    """Return p_ij of step 3 for rows of length 1 in the shared space.

    Candidates are the `NEIGHBOURS` nearest of each row on the other side.
    """
    n_source, n_target = len(source), len(target)
    forth = nearest(source, target, NEIGHBOURS)
    back = nearest(target, source, NEIGHBOURS)
    near = [
        np.bincount(each[0], each[2], n) / np.bincount(each[0], minlength=n)
        for each, n in ((forth, n_source), (back, n_target))
    ]
    flat = np.concatenate([forth[0] * n_target + forth[1], back[1] * n_target + back[0]])
    flat, first = np.unique(flat, return_index=True)
    i, j = np.divmod(flat, n_target)
    cosines = np.concatenate([forth[2], back[2]])[first].astype(np.float64)
    scores = (2 * cosines - near[0][i] - near[1][j]) / (TEMPERATURE * _spread(source, target))
    return Matches(
        i, j, _softmax(scores, i, n_source) * _softmax(scores, j, n_target), (n_source, n_target)
    )


def _softmax(scores: Array, groups: Array, n: int) -> Array:
    """Return the softmax of scores within groups 0 … n−1."""
    highest = np.full(n, -np.inf)
    np.maximum.at(highest, groups, scores)
    powers = np.exp(scores - highest[groups])
    return np.asarray(powers / np.bincount(groups, powers, n)[groups])


def _spread(source: Array, target: Array) -> float:
    """Return the standard deviation of the cosines of all rows of one side with all of the other."""
    squares = [each.T.astype(np.float64) @ each / len(each) for each in (source, target)]
    mean = source.mean(axis=0, dtype=np.float64) @ target.mean(axis=0, dtype=np.float64)
    return float(np.sqrt(max(float((squares[0] * squares[1]).sum()) - mean**2, 1e-12)))


def nearest(queries: Array, keys: Array, count: int) -> tuple[Array, Array, Array]:
    """Return the `count` keys of largest inner product with each query, all of them where fewer.

    Parameters
    ----------
    queries, keys
        (n_queries, d) and (n_keys, d).
    count
        Keys of each query.

    Returns
    -------
    rows, columns, scores
        (n_queries · count,) the query, the key and their inner product, by query and from the best.
    """
    count = min(count, len(keys))
    step = max(1, BLOCK_SCORES // len(keys))

    def of_block(start: int) -> tuple[Array, Array, Array]:
        scores = queries[start : start + step] @ keys.T
        # The largest of a group of columns is one of them, so the count-th largest of all groups is no
        # larger than the count-th largest score.
        floor = np.partition(_group_maxima(scores, count), -count, axis=1)[:, -count]
        rows, columns = np.divmod(np.flatnonzero(scores >= floor[:, None]), len(keys))
        found = scores[rows, columns]
        order = np.lexsort((columns, -found, rows))
        rows, columns, found = rows[order], columns[order], found[order]
        place = np.arange(len(rows)) - np.searchsorted(rows, rows)
        best = place < count
        return rows[best] + start, columns[best], found[best]

    starts = range(0, len(queries), step)
    blocks = parallel_map(of_block, starts) if len(starts) > 1 else one_by_one(of_block, starts)
    rows, columns, scores = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return rows, columns, scores


def _group_maxima(scores: Array, count: int) -> Array:
    """Return the largest of each group of columns, at least `count` groups."""
    n, width = len(scores), scores.shape[1] // GROUP
    if width < 4 * count:
        return scores
    even = scores[:, : GROUP * width].reshape(n, GROUP, width).max(axis=1)
    return np.concatenate([even, scores[:, GROUP * width :]], axis=1)


def ranks(queries: Array, own: Array, others: Array) -> Array:
    """Return the rank of each query's own row, (n, d), among it and all others, (m, d).

    Equal scores count against the own one.
    """
    scores = np.vecdot(queries, own)
    step = max(1, BLOCK_SCORES // len(others))
    counts = [
        (queries[start : start + step] @ others.T >= scores[start : start + step, None]).sum(axis=1)
        for start in range(0, len(queries), step)
    ]
    return np.asarray(1 + np.concatenate(counts))
