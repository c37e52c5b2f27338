"""The measures that compare rows with rows, together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.similarity.neighbours import cknna, mutual_knn
from intertwine.similarity.rbf_cka import rbf_cka
from intertwine.similarity.rsa import rsa

if TYPE_CHECKING:
    from intertwine.similarity.estimate import Estimate
    from intertwine.similarity.pairwise import RowView


def row_estimates(
    a: RowView, b: RowView, *, k: int | None = None, seed: int = 0
) -> dict[str, Estimate]:
    """Return every row measure of two spaces by name, all of them symmetric.

    Both views hold the same m rows; None neighbours are min(10, (m − 1)//2).
    """
    return {
        "rbf_cka": rbf_cka(a, b, seed=seed),
        "mutual_knn": mutual_knn(a, b, k=k, seed=seed),
        "cknna": cknna(a, b, k=k, seed=seed),
        "rsa": rsa(a, b, seed=seed),
    }
