"""The data of the plan study: the same items through an old and a new model, checked and in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.features.rows import nested_subsets
from intertwine.numerics.arrays import check_finite
from intertwine.numerics.linalg import unit
from intertwine.parallel.threads import parallel_map
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Space
    from intertwine.vectors import VectorFile

MIN_PAIRS = 50
STORE_ROWS = 5000
# The standard deviation of the logarithm of lengths from which scaling is tried: by a quarter. Pooled
# features of ImageNet networks vary by 0.17 to 0.19.
LENGTHS_DIFFER = 0.25


@dataclass(frozen=True)
class Pairs:
    """Items through both models, in the order of a hash of their ids.

    `a` (n, d_source) and `b` (n, d_target) are float64 vectors of the old space `source` and the
    new one `target`; `ids` are (n,) uint64 hashes, None where rows have none, and `rows` the row
    numbers in the feature set `names`, None where the pairs come from no set. `groups` holds the
    number of each pair's group, from 0; pairs of one group are near copies, or pieces of one
    document, and share a fold. It is None where every pair stands alone.
    """

    source: Space
    target: Space
    a: Array
    b: Array
    labels: Array | None
    ids: Array | None
    names: list[str]
    notes: list[str]
    rows: Array | None = None
    groups: Array | None = None

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.a)

    @cached_property
    def compact(self) -> Pairs:
        """The same pairs in no more dimensions than there are pairs, these themselves if so already.

        Lengths, inner products and distances stay, so the maps of every candidate find the same.
        """
        if self.n >= max(self.source.dim, self.target.dim):
            return self
        a, b = parallel_map(in_their_span, (self.a, self.b))
        source, target = replace(self.source, dim=a.shape[1]), replace(self.target, dim=b.shape[1])
        return replace(self, source=source, target=target, a=a, b=b)

    @cached_property
    def directions(self) -> Pairs | None:
        """The same pairs with all vectors of length 1; None where lengths hardly differ.

        What is compared by cosine has no length, so a map that is fitted on lengths too may fit what
        nobody asks for.
        """
        a, b = unit(self.a), unit(self.b)
        spread = max(np.log(np.linalg.norm(x, axis=1)).std() for x in (self.a, self.b))
        return replace(self, a=a, b=b) if spread > LENGTHS_DIFFER else None

    @classmethod
    def of(
        cls,
        feature_set: FeatureSet,
        source: str,
        target: str,
        *,
        metric: str,
        rows: int,
        without: Pairs | None = None,
    ) -> Pairs:
        """Read at most `rows` pairs, of a larger set a sample that a hash of the ids decides.

        `without` are pairs whose items are left out, by id. Spaces that are absent, one and the
        same or constant, fewer than 50 pairs, numbers that are not finite, and, under cosine,
        vectors of length zero raise an `InputError`; spaces that are not those of `without` a
        `SpaceMismatchError`.
        """
        if source == target:
            raise InputError(f"got {source} as source and target, expected two different spaces")
        if rows < MIN_PAIRS:
            raise InputError(f"got {counted(rows, 'row')}, expected at least {MIN_PAIRS}")
        feature_set.require([source, target])
        spaces = feature_set.spaces
        notes = list(feature_set.notes)
        chosen = np.arange(feature_set.n)
        if without is not None:
            without.source.require(spaces[source])
            without.target.require(spaces[target])
            chosen = _others(feature_set, without, notes)
        chosen = _sample(feature_set, chosen, rows, notes)
        features = feature_set.read([source, target], chosen)
        a, b = (
            _checked(features[name], name, chosen, metric, feature_set) for name in (source, target)
        )
        return cls(
            source=spaces[source],
            target=spaces[target],
            a=a,
            b=b,
            labels=None if feature_set.labels is None else feature_set.labels[chosen],
            ids=feature_set.id_hashes[chosen] if feature_set.has_ids else None,
            names=feature_set.inputs,
            notes=notes,
            rows=chosen,
        )


def in_their_span(rows: Array) -> Array:
    """Return rows, (n, d), in an orthonormal basis of what they span, (n, n); as they are if d ≤ n.

    The mean is in the span too, and products of any two rows stay.
    """
    if rows.shape[1] <= len(rows):
        return rows
    return np.ascontiguousarray(np.asarray(np.linalg.qr(rows.T, mode="r")).T)


def store_sample(store: VectorFile, source: Space, *, metric: str) -> Array:
    """Return up to 5,000 evenly spread vectors of a store, (m, d_source) float64.

    Vectors of another dimension than the source's, none at all, numbers that are not finite, and,
    under cosine, vectors of length zero raise an `InputError`.
    """
    if store.dim != source.dim:
        raise InputError(
            f"{store.path}: got vectors of dimension {store.dim}, expected {source.dim}, that of "
            f"space {source.name}"
        )
    if store.n_rows == 0:
        raise InputError(f"{store.path}: holds no vectors, expected at least one")
    count = min(store.n_rows, STORE_ROWS)
    rows = np.linspace(0, store.n_rows - 1, count).round().astype(np.int64)
    pieces = store.pieces((int(row), int(row) + 1) for row in rows)
    vectors = np.vstack([np.asarray(read(), np.float64) for _, _, read in pieces])
    check_finite(vectors, name=str(store.path), rows=rows)
    _require_length(vectors, str(store.path), rows, metric)
    return vectors


def _others(feature_set: FeatureSet, pairs: Pairs, notes: list[str]) -> Array:
    """Return the rows that are not among the pairs; without ids they are not known."""
    rows = np.arange(feature_set.n)
    if pairs.ids is None or not feature_set.has_ids:
        notes.append(
            "without ids.txt on both sides, items of the proxy among the pairs cannot be told"
        )
        return rows
    inside = np.isin(feature_set.id_hashes, pairs.ids)
    if inside.any():
        left, they = int(inside.sum()), "it is" if inside.sum() == 1 else "they are"
        notes.append(f"{counted(left, 'item')} of the proxy left out: {they} among the pairs")
    return rows[~inside]


def _sample(feature_set: FeatureSet, rows: Array, most: int, notes: list[str]) -> Array:
    """Return row numbers in the order of the ids' hashes, which no order of the file changes."""
    if len(rows) < MIN_PAIRS:
        raise InputError(
            f"{feature_set}: got {counted(len(rows), 'pair')}, expected at least {MIN_PAIRS}"
        )
    hashes = feature_set.id_hashes[rows]
    (ring,) = nested_subsets(hashes, [min(most, len(rows))])
    if len(ring) < len(rows):
        notes.append(
            f"{len(ring)} of {len(rows)} pairs of {'+'.join(feature_set.inputs)} "
            "are used, a random sample; --rows sets how many"
        )
    return np.asarray(rows[ring[np.argsort(hashes[ring], kind="stable")]])


def _checked(
    array: Array, name: str, rows: Sequence[int] | Array, metric: str, feature_set: FeatureSet
) -> Array:
    features = array.astype(np.float64)
    check_finite(features, name=name, rows=np.asarray(rows))
    if not np.ptp(features, axis=0).any():
        raise InputError(f"{feature_set}: space {name} is constant: all its vectors are equal")
    _require_length(features, name, np.asarray(rows), metric)
    return features


def _require_length(vectors: Array, name: str, rows: Array, metric: str) -> None:
    empty = np.flatnonzero(~vectors.any(axis=1))
    if metric == "cosine" and empty.size:
        raise InputError(
            f"{name}: row {rows[empty[0]]} has length zero, as {counted(empty.size, 'row does', 'rows do')} in all, expected "
            "vectors with a direction; use --metric ip or l2, or leave these rows out"
        )
