"""Nearest rows, by comparing a query with every one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intertwine.numerics.arrays import Array
    from intertwine.stores.store import Metric


def exact_search(
    blocks: Iterable[tuple[int, Array]], queries: Array, k: int, metric: Metric
) -> list[list[int]]:
    """Return the rows nearest to each of (q, d) queries, k of them, best first.

    Of equally near rows those of lower number come first. Blocks are (number of the first row, (b,
    d) vectors), in the order of the rows. Nearness is by the cosine, the inner product or the
    distance.
    """
    scores = np.empty((len(queries), 0))
    rows = np.empty((len(queries), 0), np.int64)
    # Small differences of distances are lost in float32.
    precise = metric == "l2" or queries.dtype.itemsize == 8
    number = np.float64 if precise else np.float32
    asked = np.asarray(queries, number)
    for first, vectors in blocks:
        found = _scores(asked, vectors.astype(number), metric)
        numbers = np.broadcast_to(np.arange(first, first + len(vectors)), found.shape)
        scores, rows = _best(np.hstack([scores, found]), np.hstack([rows, numbers]), k)
    return [each.tolist() for each in rows]


def _scores(queries: Array, vectors: Array, metric: Metric) -> Array:
    """Return (q, b) scores, the larger the nearer; -inf for a row of NaN."""
    scores = queries @ vectors.T
    if metric == "cosine":
        lengths = np.linalg.norm(vectors, axis=1)
        scores /= np.where(lengths > 0, lengths, 1)
    elif metric == "l2":
        scores -= 0.5 * np.einsum("ij,ij->i", vectors, vectors)
    scores[np.isnan(scores)] = -np.inf
    return np.asarray(scores)


def _best(scores: Array, rows: Array, k: int) -> tuple[Array, Array]:
    """Return the k best of each query, in order; of equal ones those of earlier columns."""
    q, columns = scores.shape
    if columns > k:
        least = np.partition(scores, columns - k, axis=1)[:, columns - k, None]
        above, level = scores > least, scores == least
        room = k - above.sum(axis=1, keepdims=True)
        chosen = above | (level & (level.cumsum(axis=1) <= room))
        scores, rows = scores[chosen].reshape(q, k), rows[chosen].reshape(q, k)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)
