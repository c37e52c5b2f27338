"""Whole arrays as a feature set, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.arrays import as_features, check_finite
from intertwine.errors import InputError
from intertwine.features.record import SpaceRecord
from intertwine.features.writer import FeatureSetWriter
from intertwine.wording import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from intertwine.spaces import Head


def write_feature_set(
    path: str | os.PathLike[str],
    features: Mapping[str, Any],
    *,
    ids: Sequence[str] | None = None,
    labels: Any = None,
    heads: Mapping[str, Head] | None = None,
    dtype: str = "float32",
) -> None:
    """Write whole arrays as a feature set.

    Parameters
    ----------
    path
        The folder, made when absent.
    features
        (n, d) arrays by space.
    ids, labels
        As in `FeatureSetWriter`.
    heads
        Classifiers by space.
    dtype
        How to store the features.

    Raises
    ------
    InputError
        When there is no space, or `FeatureSetWriter` would raise one.
    """
    heads = heads or {}
    arrays = {name: as_features(value, name=f"space {name}") for name, value in features.items()}
    if not arrays:
        raise InputError(f"{path}: got no space, expected at least one array")
    n = len(next(iter(arrays.values())))
    # Everything is looked at before anything is written.
    for name, values in arrays.items():
        if len(values) != n:
            raise InputError(
                f"space {name}: got {counted(len(values), 'row')}, expected {n} as in the others"
            )
        check_finite(values, name=f"space {name}")
    records = {a: SpaceRecord(a, v.shape[1], dtype, heads.get(a)) for a, v in arrays.items()}
    with FeatureSetWriter(path, n, ids=ids, labels=labels) as writer:
        for name, values in arrays.items():
            writer.add_space(records[name])
            writer.write(name, 0, values)
