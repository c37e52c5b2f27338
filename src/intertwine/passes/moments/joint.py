"""The pass that turns a feature set into joint moments."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from intertwine.moments.accumulators import AUTO, DEFAULT_FAST_ERROR, Products
from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.blocks import origin_of
from intertwine.moments.moments import Moments
from intertwine.passes.moments.parts import (
    ExtraFeatures,
    Part,
    chunks_with_extra,
    merged_parts,
    whole_pieces,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.numerics.arrays import Array
    from intertwine.parallel.progress import RowProgress
    from intertwine.parallel.workers import Workers
    from intertwine.storage.shelf import Checkpoints


def joint_moments(
    feature_set: FeatureSet,
    names: Sequence[str] | None = None,
    *,
    precision: str = "auto",
    device: str = "cpu",
    fast_error: float = DEFAULT_FAST_ERROR,
    workers: Workers | None = None,
    progress: RowProgress | None = None,
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
    device
        Where products are taken: `cpu`, `cuda` or `cuda:N`.
    fast_error
        Largest relative rounding of a feature that `fast` may make.
    workers
        Where parts of the rows are computed; here when omitted.
    progress
        Called with (rows done, rows in all) after each chunk, or part.

    Returns
    -------
    moments
        The same bytes however many workers there are.

    Raises
    ------
    InputError
        For an unknown space or precision, a device or matrix units that are missing, and NaN or
        infinite features, naming space and rows.
    """
    products = Products(precision, device, fast_error)
    moments = empty_moments(feature_set, names or list(feature_set.spaces), products)
    add_rows(moments, feature_set, workers=workers, progress=progress)
    moments.rows = [(set_key(feature_set), 0, feature_set.n)]
    return moments


def empty_moments(
    feature_set: FeatureSet,
    names: Sequence[str],
    products: Products = AUTO,
    *,
    first_row: int = 0,
) -> Moments:
    """Return moments of no rows, ready for rows of a feature set in any order.

    The first 4,096 rows of the set determine the origin that every part of it shares; `first_row`
    is the number of the first row that will be added. InputError for an unknown space or precision,
    and a device or matrix units that are missing.
    """
    feature_set.require(names)
    spaces = [feature_set.spaces[name] for name in names]
    dim = sum(space.dim for space in spaces)
    products = products.resolved(dim=dim, n_rows=feature_set.n)
    products.require()
    first = feature_set.read(names, range(min(feature_set.n, BLOCK_ROWS)))
    # Bad rows are found, and named, when they are added.
    origin = {
        name: np.nan_to_num(origin_of([rows]), posinf=0, neginf=0) for name, rows in first.items()
    }
    return Moments(spaces, origin=origin, first_row=first_row, **vars(products))


def add_rows(
    moments: Moments,
    feature_set: FeatureSet,
    rows: range | Array | None = None,
    *,
    extra_features: ExtraFeatures | None = None,
    workers: Workers | None = None,
    saved: Checkpoints | None = None,
    progress: RowProgress | None = None,
    after_chunk: Callable[[], None] | None = None,
) -> None:
    """Add rows of a feature set to moments of its spaces, in place.

    `rows` is a range or (k,) ascending row numbers; all when omitted. `extra_features` computes the
    features of spaces that the set does not hold, by name, from the (k,) uint64 hashes of the rows'
    ids. Workers share parts of the rows: however many they are, the same bytes come out. They leave
    large parts in `saved`, on a file system that they share, and find those of a run that was
    killed; in a temporary folder when omitted. `progress` takes (rows done, rows in all)
    after each chunk, or part, and `after_chunk` is called after each chunk that is added here.
    Features that are not finite raise InputError with their space and rows.
    """
    chosen = range(feature_set.n) if rows is None else rows
    done = 0
    if workers is not None:
        part = partial(Part.of, feature_set, moments, extra_features=extra_features)
        pieces = [part(chosen[cut], offset) for cut, offset in whole_pieces(len(chosen), moments)]
        for piece in merged_parts(moments, pieces, workers, saved):
            done += len(piece.rows)
            if progress:
                progress(done, len(chosen))
        return
    for numbers, chunk in chunks_with_extra(feature_set, moments, chosen, extra_features):
        moments.update(chunk, rows=numbers)
        done += len(numbers)
        if after_chunk:
            after_chunk()
        if progress:
            progress(done, len(chosen))


def set_key(feature_set: FeatureSet) -> str:
    """Return what distinguishes a feature set's rows from another's, wherever its files lie.

    It is a hash of the ids, and of the first and last row of every space.
    """
    digest = hashlib.sha256(np.ascontiguousarray(feature_set.id_hashes).tobytes())
    for row in (0, feature_set.n - 1):
        for name, features in feature_set.read(
            sorted(feature_set.spaces), range(row, row + 1)
        ).items():
            digest.update(name.encode() + features.tobytes())
    return digest.hexdigest()[:16]
