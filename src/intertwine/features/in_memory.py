"""What a feature set of arrays in memory holds, checked: spaces, ids, labels and heads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.features.rows import hash_ids
from intertwine.numerics.arrays import as_features, check_finite, require_one_length, to_numpy
from intertwine.spaces import Head, check_space_name
from intertwine.wording import counted, named

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array


@dataclass(frozen=True)
class SpaceInMemory:
    """One space's features, (n, d) floating point."""

    array: Array

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers."""
        return self.array.dtype

    def read(self, rows: range | Array) -> Array:
        """Return some rows, (k, d), as a new array."""
        if isinstance(rows, range):
            return self.array[rows.start : rows.stop].copy()
        return np.asarray(self.array[rows])

    def stamp(self, name: str) -> list[Any]:
        """Return what distinguishes the features from others, JSON-ready."""
        digest = hashlib.blake2b(self.array.data, digest_size=16).hexdigest()
        return [name, list(self.array.shape), str(self.array.dtype), digest]


def checked_spaces(spaces: Mapping[str, Any]) -> dict[str, SpaceInMemory]:
    """Return the spaces of arrays of any library; InputError where they cannot be a feature set."""
    if not isinstance(spaces, Mapping) or not spaces:
        raise InputError(
            'got no spaces, expected a mapping of names to arrays, such as {"a": x, "b": y}'
        )
    arrays = {}
    for name, array in spaces.items():
        check_space_name(str(name))
        where = f"spaces[{str(name)!r}]"
        features = as_features(array, name=where)
        check_finite(features, name=where)
        arrays[str(name)] = np.ascontiguousarray(features)
    require_one_length({f"spaces[{name!r}]": array.shape for name, array in arrays.items()})
    if len(next(iter(arrays.values()))) == 0:
        raise InputError("got spaces of n = 0 rows, expected at least one")
    return {name: SpaceInMemory(array) for name, array in arrays.items()}


def checked_ids(ids: Any, n: int) -> tuple[list[str], Array]:
    """Return ids as text, and their hashes, (n,) uint64; InputError unless each row has its own."""
    texts = [str(value) for value in (ids if isinstance(ids, list | tuple) else _listed(ids))]
    if len(texts) != n:
        raise InputError(f"ids: got {counted(len(texts), 'id')}, expected {n}, one a row")
    for row, text in enumerate(texts):
        if not text or "\n" in text or "\r" in text:
            raise InputError(f"ids: row {row} has {text[:40]!r}, expected one line of text")
    if len(set(texts)) < n:
        seen: set[str] = set()
        repeated = next(text for text in texts if text in seen or seen.add(text))  # type: ignore[func-returns-value]
        raise InputError(f"ids: the id {repeated!r} repeats, expected each once")
    return texts, hash_ids(texts)


def _listed(values: Any) -> list[Any]:
    return list(to_numpy(values).tolist()) if hasattr(values, "shape") else list(values)


def checked_labels(labels: Any, n: int) -> Array:
    """Return labels, (n,) int64; InputError for another shape or kind."""
    array = to_numpy(labels)
    if array.shape != (n,):
        raise InputError(
            f"labels: got shape {tuple(array.shape)}, expected ({n},), one number a row"
        )
    if array.dtype.kind not in "iu":
        kind = "text" if array.dtype.kind in "USO" else str(array.dtype)
        raise InputError(
            f"labels: got {kind}, expected integers, the number of each row's class from 0; "
            "numpy.unique(labels, return_inverse=True)[1] numbers classes"
        )
    return array.astype(np.int64)


def checked_heads(heads: Mapping[str, Any], dims: Mapping[str, int]) -> dict[str, Head]:
    """Return the classifiers of some spaces, (name: dimension); InputError for what is none."""
    unknown = [name for name in heads if name not in dims]
    if unknown:
        raise InputError(f"heads: got {named(unknown)}, expected names of spaces: {named(dims)}")
    checked = {}
    for name, given in heads.items():
        try:
            head = given if isinstance(given, Head) else _head(given)
        except InputError as error:
            raise InputError(f"heads[{name!r}]: {error}") from error
        if head.dim != dims[name]:
            raise InputError(
                f"heads[{name!r}]: got a head of dimension {head.dim}, expected {dims[name]}"
            )
        checked[name] = head
    return checked


def _head(given: Any) -> Head:
    """Return the head that a (weight, bias, classes), a mapping, a layer or a weight alone is."""
    names = ("weight", "bias", "classes")
    if isinstance(given, Mapping):
        parts = {name: given[name] for name in names if given.get(name) is not None}
    elif isinstance(given, tuple):
        parts = dict(zip(names, given, strict=False))
    elif hasattr(given, "weight"):
        parts = {name: getattr(given, name, None) for name in names[:2]}
    else:
        parts = {"weight": given}
    arrays = {name: to_numpy(part) for name, part in parts.items() if part is not None}
    if "weight" not in arrays or arrays["weight"].dtype.kind not in "fiu":
        raise InputError("expected a Head, or weight (K, d) and bias (K,)")
    return Head(**arrays)
