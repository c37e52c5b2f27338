"""CKNNA, centred kernel alignment over mutual nearest neighbours only.

With z the centred rows of a space, k_ij = z_i·z_j and l_ij the same of the other space,

    CKNNA = Align(K, L)/√(Align(K, K) Align(L, L)), Align(K, L) = Σ_i Σ_{j ∈ N_A(i) ∩ N_B(i)} k_ij l_ij,

so that Align(K, K) runs over N_A and Align(L, L) over N_B. Huh, Cheung, Wang & Isola, *The Platonic
Representation Hypothesis*, ICML 2024, appendix. They centre k_ij by the mean of row i alone, which
moves with the origin; with both rows centred, and Euclidean neighbours, CKNNA ignores shift,
rotation and one scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.similarity.neighbours import alignment

if TYPE_CHECKING:
    from intertwine.similarity.estimate import Estimate
    from intertwine.similarity.pairwise import RowView


def cknna(a: RowView, b: RowView, *, k: int | None = None, seed: int = 0) -> Estimate:
    """Return the kernel alignment of two spaces over their mutual nearest neighbours.

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
        −1 … 1, larger is more similar; its null is about k/(m − 1). See `neighbours.alignment`
        for ties, the interval, the null, and where it is undefined.

    Raises
    ------
    InputError
        For k outside 1 … m − 1, and spaces with different numbers of rows.
    """
    return alignment(a, b, values="kernel", k=k, seed=seed)
