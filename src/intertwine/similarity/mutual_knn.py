"""Overlap of nearest neighbours: how many of a row's neighbours are its neighbours in both spaces.

Overlap = mean over rows of ``|N_A(i) ∩ N_B(i)| / k``. Huh, Cheung, Wang & Isola, *The Platonic
Representation Hypothesis*, ICML 2024. They take neighbours by inner product of unit rows; here they
are Euclidean, so that the overlap ignores shift, rotation and one scale. Rows at equal distances
share the last places (see `neighbours`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.similarity.neighbours import alignment

if TYPE_CHECKING:
    from intertwine.similarity.estimate import Estimate
    from intertwine.similarity.pairwise import RowView


def mutual_knn(a: RowView, b: RowView, *, k: int | None = None, seed: int = 0) -> Estimate:
    """Return the share of nearest neighbours that two spaces have in common.

    Parameters
    ----------
    a, b
        The same m rows in two spaces.
    k
        Neighbours; None is min(10, (m − 1)//2).
    seed
        Of the bootstrap.

    Returns
    -------
    estimate
        0 … 1, larger is more similar; its null is k/(m − 1). See `neighbours.alignment` for ties,
        the interval, the null's variance, and where it is undefined.

    Raises
    ------
    InputError
        For k outside 1 … m − 1, and spaces with different numbers of rows.
    """
    return alignment(a, b, values="ones", k=k, seed=seed)
