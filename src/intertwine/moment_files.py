"""Moments as one checked safetensors file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.accumulators import DEFAULT_FAST_ERROR
from intertwine.errors import FileFormatError
from intertwine.files import read_tensors, write_tensors
from intertwine.spaces import SPACE, Space
from intertwine.untrusted import damage_is_told, require_shape

if TYPE_CHECKING:
    import os

    from intertwine.arrays import Array
    from intertwine.moments import Moments

# What the header of a file of moments holds.
HEADER = {
    "spaces": [SPACE],
    "n": int,
    "precision": str,
    "fast_error?": (float, None),
    "next_row": int,
    "rows?": [list],
}


def save_moments(moments: Moments, path: str | os.PathLike[str]) -> None:
    """Write moments as one checked safetensors file."""
    sums = moments.sums
    tensors: dict[str, Array] = {"norm_first": sums.norm_first, "norm_second": sums.norm_second}
    for name in sums.names:
        tensors[f"origin/{name}"] = moments.origin[name]
        tensors[f"first/{name}"] = sums.first[name]
        tensors[f"norm_cross/{name}"] = sums.norm_cross[name]
    for a, b in sums.second:
        tensors[f"second/{a}/{b}"] = sums.pair(a, b)
    header: dict[str, Any] = {
        "spaces": [space.to_json() for space in moments.spaces.values()],
        "n": sums.n,
        "precision": moments.precision,
        "fast_error": moments.products.fast_error if moments.precision == "fast" else None,
        "next_row": moments.next_row,
        "rows": [list(part) for part in moments.rows],
    }
    write_tensors(path, tensors, kind="moments", header=header)


def load_moments(path: str | os.PathLike[str]) -> Moments:
    """Read moments that `save_moments` wrote.

    Raises
    ------
    FileFormatError
        When the file is altered, cut, or of another kind.
    """
    from intertwine.moments import Moments

    tensors, header = read_tensors(path, kind="moments")
    require_shape(header, HEADER, path)

    def take(name: str, like: Array) -> Array:
        if name not in tensors:
            raise FileFormatError(f"{path}: holds no {name!r}")
        found = tensors[name]
        if found.shape != like.shape or found.dtype != np.float64:
            raise FileFormatError(
                f"{path}: {name} has shape {found.shape} of {found.dtype}, expected {like.shape} of "
                "float64"
            )
        return found

    with damage_is_told(path, "moments"):
        spaces = [Space.from_json(value) for value in header["spaces"]]
        moments = Moments(
            spaces,
            precision=header["precision"],
            first_row=int(header["next_row"]),
            origin={s.name: take(f"origin/{s.name}", np.empty(s.dim)) for s in spaces},
            fast_error=header.get("fast_error") or DEFAULT_FAST_ERROR,
        )
        moments.rows = [(key, start, stop) for key, start, stop in header.get("rows", [])]
        sums = moments.sums
        sums.n = int(header["n"])
        sums.norm_first = take("norm_first", sums.norm_first)
        sums.norm_second = take("norm_second", sums.norm_second)
        sums.first = {a: take(f"first/{a}", x) for a, x in sums.first.items()}
        sums.norm_cross = {a: take(f"norm_cross/{a}", x) for a, x in sums.norm_cross.items()}
        sums.second = {(a, b): take(f"second/{a}/{b}", x) for (a, b), x in sums.second.items()}
    return moments
