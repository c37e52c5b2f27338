"""Two arrays over the same rows as a feature set, with errors that name the arguments."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.numerics.arrays import as_features, check_finite, require_one_length

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.numerics.arrays import Array

NAMES = ("x", "y")


def feature_set_of(
    x: Any,
    y: Any,
    *,
    names: Sequence[str] = NAMES,
    ids: Any = None,
    heads: Mapping[str, Any] | None = None,
) -> FeatureSet:
    """Return the feature set of two arrays, (n, d_x) and (n, d_y); errors call them x and y."""
    if isinstance(names, str) or len(names) != 2 or names[0] == names[1]:
        raise InputError("names: expected two different names, such as ('a', 'b')")
    arrays = {name: _features(array, name) for name, array in zip(NAMES, (x, y), strict=True)}
    require_one_length({name: array.shape for name, array in arrays.items()}, "rows differ: ")
    if len(arrays["x"]) < 2:
        raise InputError(f"x and y: got n = {len(arrays['x'])}, expected at least 2 rows")
    for name, array in arrays.items():
        check_finite(array, name=name)
    spaces = dict(zip(names, arrays.values(), strict=True))
    return FeatureSet.from_arrays(spaces, ids=ids, heads=heads)


def _features(array: Any, name: str) -> Array:
    if isinstance(array, str | os.PathLike):
        raise InputError(f"{name}: got a path, expected an (n, d) array; numpy.load reads a .npy")
    return as_features(array, name=name)


def without_files(text: str, names: Sequence[str]) -> str:
    """Return a message of a study about arrays that lie in no files."""
    for name in names:
        text = text.replace(f"{name}.npy", name)
    return text
