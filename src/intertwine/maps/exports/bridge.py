"""A map for queries: one vector at a time, in microseconds, by NumPy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array


class QueryBridge:
    """Maps queries from one model's vectors to another's.

    It holds nothing but float32 weights, so that it can be pickled into a service or sent to one.

    Parameters
    ----------
    linear_map
        The map; its weights are copied.
    unit
        Whether results are scaled to length 1, for stores that compare by inner product what they
        mean as a cosine.

    Raises
    ------
    InputError
        For weights beyond float32.

    Examples
    --------
    >>> import numpy as np
    >>> from intertwine import LinearMap, Space
    >>> double = LinearMap(2 * np.eye(2), np.ones(2), Space("a", 2), Space("b", 2), "by hand")
    >>> QueryBridge(double)(np.array([1.0, 2.0])).tolist()
    [3.0, 5.0]
    """

    def __init__(self, linear_map: LinearMap, *, unit: bool = False) -> None:
        self.weight, self.bias = float32_weights(linear_map)
        self.name, self.unit = linear_map.name, unit
        self.unit_source = linear_map.unit_source

    def __call__(self, queries: Any) -> Array:
        """Map a query, (d_source,), or several, (n, d_source), to float32 of the target's dimension.

        Raises
        ------
        InputError
            For another dimension, NaN or infinity, with `unit` a query that is mapped to zero, and a
            zero query where the map scales queries to length 1.
        """
        vectors = np.asarray(queries, np.float32)
        dim = self.weight.shape[1]
        if vectors.ndim not in {1, 2} or vectors.shape[-1] != dim:
            raise InputError(
                f"got queries of shape {vectors.shape}, expected ({dim},) or (n, {dim}) for map "
                f"{self.name}"
            )
        if self.unit_source:
            vectors = self._directions(vectors)
        with np.errstate(over="ignore", invalid="ignore"):
            # One query as weight · x: NumPy then reads the weights in their order in memory.
            mapped = self.weight @ vectors if vectors.ndim == 1 else vectors @ self.weight.T
            mapped += self.bias
            squares = np.vecdot(mapped, mapped)
        if not np.isfinite(squares).all():
            raise InputError(f"map {self.name}: NaN, infinite or too large numbers in a query")
        if not self.unit:
            return np.asarray(mapped)
        if not np.all(squares):
            raise InputError(f"map {self.name}: a query is mapped to zero, which has no direction")
        return np.asarray(mapped / np.sqrt(squares)[..., None])

    def _directions(self, queries: Array) -> Array:
        lengths = np.sqrt(np.einsum("...i,...i->...", queries, queries, dtype=np.float64))
        if not np.all(lengths):
            raise InputError(f"map {self.name}: a query is zero, which has no direction")
        return np.asarray(queries / lengths[..., None], np.float32)


def float32_weights(linear_map: LinearMap) -> tuple[Array, Array]:
    """Return weight, (d_target, d_source), and bias as float32; InputError beyond float32."""
    with np.errstate(over="ignore"):
        weight = np.ascontiguousarray(linear_map.weight.astype(np.float32))
        bias = linear_map.bias.astype(np.float32)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise InputError(f"map {linear_map.name}: weights are too large for float32")
    return weight, bias
