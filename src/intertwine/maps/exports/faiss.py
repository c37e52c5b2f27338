"""A map as a FAISS transform, before an index or alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.maps.exports.bridge import float32_weights

if TYPE_CHECKING:
    from intertwine.maps.linear_map import LinearMap


def faiss_transform(linear_map: LinearMap, *, unit: bool = False) -> list[Any]:
    """Return a map as FAISS vector transforms, ready for `faiss.IndexPreTransform`.

    Parameters
    ----------
    linear_map
        The map.
    unit
        Whether results are scaled to length 1, for indexes of inner products that mean a cosine.

    Returns
    -------
    transforms
        A `faiss.LinearTransform` and, with `unit`, a `faiss.NormalizationTransform`, in the order
        in which they are applied; a normalization first where the map scales its input to length 1.
        Add them to `index = faiss.IndexPreTransform(index)` by `index.prepend_transform`, the last
        one first.

    Raises
    ------
    InputError
        For weights beyond float32.
    MissingExtraError
        Where FAISS is not installed.
    """
    faiss = import_extra("faiss", "faiss")
    weight, bias = float32_weights(linear_map)
    linear = faiss.LinearTransform(linear_map.source.dim, linear_map.target.dim, True)
    faiss.copy_array_to_vector(weight.ravel(), linear.A)
    faiss.copy_array_to_vector(bias, linear.b)
    linear.is_trained = True
    scaled = [faiss.NormalizationTransform(linear_map.source.dim, 2.0)]
    after = [faiss.NormalizationTransform(linear_map.target.dim, 2.0)]
    return [*(scaled if linear_map.unit_source else []), linear, *(after if unit else [])]
