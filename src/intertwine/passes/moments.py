"""The pass that turns a feature set into joint moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from intertwine.arrays import resolve_precision
from intertwine.moments import BLOCK_ROWS, Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.arrays import Array
    from intertwine.features.feature_set import FeatureSet

Progress = Callable[[int, int], None]


def empty_moments(
    feature_set: FeatureSet, names: Sequence[str], *, precision: str = "auto"
) -> Moments:
    """Return moments of no rows, ready for rows of a feature set in any order.

    Parameters
    ----------
    feature_set
        The set; its first 4,096 rows give the origin that every part of it shares.
    names
        The spaces.
    precision
        `auto`, `float64`, `float32` or `fast`.
    """
    feature_set.require(names)
    spaces = [feature_set.spaces[name] for name in names]
    dim = sum(space.dim for space in spaces)
    first = feature_set.read(names, range(min(feature_set.n, BLOCK_ROWS)))
    origin = {name: _origin(rows) for name, rows in first.items()}
    chosen = resolve_precision(precision, dim=dim, n_rows=feature_set.n)
    return Moments(spaces, precision=chosen, origin=origin)


def add_rows(
    moments: Moments,
    feature_set: FeatureSet,
    rows: Array | None = None,
    *,
    progress: Progress | None = None,
) -> None:
    """Add rows of a feature set to moments, in place.

    Parameters
    ----------
    moments
        Moments of spaces of the set.
    feature_set
        The set.
    rows
        (k,) ascending row numbers; all rows when omitted.
    progress
        Called with (rows done, rows in all) after each chunk.

    Raises
    ------
    InputError
        For NaN or infinite features, naming space and rows.
    """
    total = feature_set.n if rows is None else len(rows)
    done = 0
    for chosen, chunk in feature_set.chunks(list(moments.spaces), rows):
        moments.update(chunk, rows=chosen)
        done += len(chosen)
        if progress:
            progress(done, total)


def joint_moments(
    feature_set: FeatureSet,
    names: Sequence[str] | None = None,
    *,
    precision: str = "auto",
    progress: Progress | None = None,
) -> Moments:
    """Return the joint moments of a feature set's spaces over all of its rows.

    Parameters
    ----------
    feature_set
        The set.
    names
        The spaces; all when omitted.
    precision
        `auto`, `float64`, `float32` or `fast`.
    progress
        Called with (rows done, rows in all) after each chunk.
    """
    moments = empty_moments(feature_set, names or list(feature_set.spaces), precision=precision)
    add_rows(moments, feature_set, progress=progress)
    return moments


def _origin(rows: Array) -> Array:
    """Return the mean of the rows, rounded so that float32 differences from it are exact."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean: Array = rows.mean(axis=0, dtype=np.float64).astype(np.float32).astype(np.float64)
    # Bad rows are found, and named, when they are added.
    return np.nan_to_num(mean, nan=0.0, posinf=0.0, neginf=0.0)
