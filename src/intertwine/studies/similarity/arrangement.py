"""Spaces arranged by their distances: a tree and a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.similarity.estimate import Estimate

METRIC = "procrustes"
TOO_FEW = "fewer than three spaces"
GAPS = "a distance is undefined"


def distances(
    names: Sequence[str], estimates: Mapping[tuple[str, str], Mapping[str, Estimate]]
) -> Array | None:
    """Return the Procrustes angles, (n_spaces, n_spaces) radians; None where one is undefined."""
    table = np.zeros((len(names), len(names)))
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if i != j:
                angle = estimates[a, b][METRIC].score
                if angle is None:
                    return None
                table[i, j] = angle
    return table


def dendrogram(names: Sequence[str], table: Array | None) -> dict[str, Any]:
    """Return the tree of average linkage over (n_spaces, n_spaces) distances, as a report holds it."""
    row: dict[str, Any] = {"measure": METRIC, "method": "average", "leaves": [], "merges": []}
    row["reason"] = None
    reason = _unfit(names, table)
    if reason or table is None:
        return {**row, "reason": reason}
    merges = linkage(squareform(table, checks=False), method="average")
    leaves = [names[i] for i in leaves_list(merges)]
    listed = [[int(i), int(j), float(height), int(size)] for i, j, height, size in merges]
    return {**row, "leaves": leaves, "merges": listed}


def plane(names: Sequence[str], table: Array | None) -> dict[str, Any]:
    """Return classical scaling of (n_spaces, n_spaces) distances to two dimensions.

    With J = I − 11ᵀ/n, the coordinates are the leading eigenvectors of −½ J D² J times the roots of
    their eigenvalues. Torgerson, *Multidimensional scaling: I. Theory and method*, Psychometrika 17
    (1952). Each axis is turned so that its largest coordinate is positive.
    """
    row: dict[str, Any] = {"measure": METRIC, "share": None, "points": [], "reason": None}
    reason = _unfit(names, table)
    if reason or table is None:
        return {**row, "reason": reason}
    squares = table**2
    gram = -0.5 * (squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean())
    values, vectors = np.linalg.eigh(gram)
    positive = np.maximum(values[::-1], 0.0)
    if positive.sum() <= 0:
        return {**row, "reason": "all spaces are equal"}
    points = vectors[:, ::-1][:, :2] * np.sqrt(positive[:2])
    points *= np.sign(points[np.abs(points).argmax(axis=0), range(2)] + 1e-300)
    placed = [
        {"space": name, "x": float(x), "y": float(y)}
        for name, (x, y) in zip(names, points, strict=True)
    ]
    return {**row, "share": float(positive[:2].sum() / positive.sum()), "points": placed}


def _unfit(names: Sequence[str], table: Array | None) -> str | None:
    if len(names) < 3:
        return TOO_FEW
    return GAPS if table is None else None
