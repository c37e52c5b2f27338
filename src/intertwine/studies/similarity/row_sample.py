"""Row measures of every pair of spaces, on a random sample of rows."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.features.rows import nested_subsets
from intertwine.numerics.arrays import check_finite
from intertwine.parallel.threads import parallel_map
from intertwine.similarity.measures import row_estimates
from intertwine.similarity.pairwise import RowView
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.similarity.estimate import Estimate

SAMPLE_ROWS = 2000
MAX_SAMPLE_ROWS = 20_000
# Kernels of all spaces are kept between pairs up to this many bytes together.
KEPT_BYTES = 1 << 30


def sampled_views(
    feature_set: FeatureSet, names: Sequence[str], *, rows: int, device: str = "cpu"
) -> dict[str, RowView]:
    """Return the same random rows of every space, decided by a hash of the row ids.

    All rows where there are fewer. A size outside 2 … 20,000, where products of all pairs of rows
    would take too long, raises InputError; so do features that are not finite.
    """
    if not 2 <= rows <= MAX_SAMPLE_ROWS:
        raise InputError(f"got a sample of {counted(rows, 'row')}, expected 2 … {MAX_SAMPLE_ROWS}")
    (sample,) = nested_subsets(feature_set.id_hashes, [min(rows, feature_set.n)])
    # In an order that ids decide, since draws and ties go by it.
    sample = sample[np.argsort(feature_set.id_hashes[sample], kind="stable")]
    keep = 8 * len(sample) ** 2 * len(names) <= KEPT_BYTES

    def view(name: str) -> RowView:
        features = feature_set.read([name], sample)[name].astype(np.float64)
        check_finite(features, name=name, rows=sample)
        return RowView.of(features, name=name, device=device, keep=keep)

    return {name: view(name) for name in names}


def check_neighbours(neighbours: int | None, m: int) -> None:
    """Raise InputError, before the long work, when k is outside 1 … m − 1."""
    if neighbours is not None and m > 2 and not 1 <= neighbours < m:
        raise InputError(
            f"got k = {counted(neighbours, 'neighbour')}, expected 1 to {m - 1} for {counted(m, 'row')}"
        )


def sample_estimates(
    views: dict[str, RowView], *, neighbours: int | None, progress: Callable[[str, int, int], None]
) -> dict[tuple[str, str], dict[str, Estimate]]:
    """Return the row measures of every ordered pair of different spaces.

    `neighbours`, k of the neighbour measures, is min(10, (m − 1)//2) when omitted.
    """
    names = list(views)
    pairs = list(combinations(names, 2))
    done = 0

    def of(pair: tuple[str, str]) -> dict[str, Estimate]:
        nonlocal done
        estimates = row_estimates(views[pair[0]], views[pair[1]], k=neighbours)
        done += 1
        progress("measures on a sample of rows", done, len(pairs))
        return estimates

    estimates = dict(zip(pairs, parallel_map(of, pairs), strict=True))
    return {**estimates, **{(b, a): each for (a, b), each in estimates.items()}}
