"""What a map stores of the rows that it was fitted on, so that a test on them is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.features.rows import content_hashes, nested_subsets

if TYPE_CHECKING:
    from intertwine.features.feature_set import FeatureSet
    from intertwine.numerics.arrays import Array

# Rows that a map keeps hashes of: of rows of which one in fifty is tested, some are found in 99 % of
# all cases.
SAMPLE = 256
NOTHING: dict[str, Any] = {"rows": 0, "ids": [], "features": []}


def fitted_on(feature_set: FeatureSet, name: str) -> dict[str, Any]:
    """Return what identifies the rows of a set, for maps from this space fitted on it.

    JSON-ready: `rows`, their number; of the up to 256 rows whose ids hash lowest `ids`, hashes of
    the ids (None for a set without), and `features`, hashes of their features.
    """
    (rows,) = nested_subsets(feature_set.id_hashes, [SAMPLE])
    features = feature_set.read([name], rows)[name]
    return {
        "rows": feature_set.n,
        "ids": hexadecimal(feature_set.id_hashes[rows]) if feature_set.has_ids else None,
        "features": hexadecimal(rounded_hashes(features)),
    }


def rounded_hashes(features: Array) -> Array:
    """Return a hash of each row as float16, which another set may store, (n,) uint64."""
    with np.errstate(over="ignore"):
        return content_hashes(features.astype(np.float16))


def hexadecimal(hashes: Array) -> list[str]:
    """Return hashes as text, because JSON rounds large numbers."""
    return [f"{each:016x}" for each in hashes.tolist()]
