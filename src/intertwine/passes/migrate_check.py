"""Whether a migrated store holds what it should, and finds what it should.

Counts and shapes are right even when a map was applied the wrong way. So vectors are read back and
compared with the map, by other arithmetic than wrote them; and searches are made: do neighbours stay
neighbours, and, with native vectors of the new model, is an item's new vector found by its native one?
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.lengths import unit as directions
from intertwine.metrics.intervals import proportion_interval

if TYPE_CHECKING:
    import os

    from intertwine.arrays import Array
    from intertwine.linear_map import LinearMap
    from intertwine.spaces import Space
    from intertwine.stores import Store, Target

K = 10
# Items whose neighbours are looked at, and native vectors searched with.
NEIGHBOUR_ITEMS, NATIVE_QUERIES = 12, 100
# A vector read back may be off by so much of its length: a column of half precision rounds.
TOLERANCE = 4e-3
# Items that were embedded natively since they were written: above this share something is wrong.
MOST_NATIVE = 0.1
# With fewer items chance finds too much to tell.
LEAST_ITEMS = 100


@dataclass(frozen=True)
class Natives:
    """Vectors of the new model for some items of the store.

    Parameters
    ----------
    ids
        (m,) of the items, of the store's type.
    vectors
        (m, d_target).
    """

    ids: list[Any]
    vectors: Array

    @classmethod
    def of(cls, folder: str | os.PathLike[str], space: Space, example: Any) -> Natives:
        """Read them from a feature set.

        Parameters
        ----------
        folder
            With `ids.txt`, the ids of the store, and the vectors.
        space
            The new space.
        example
            An id of the store, whose type ids are turned into.

        Raises
        ------
        InputError
            When the set lacks ids or the space, or an id is not of the store's type.
        """
        found = FeatureSet.open(folder)
        found.require([space.name])
        space.require(found.spaces[space.name])
        if not found.has_ids:
            raise InputError(f"{folder}: has no ids.txt, expected the store's ids to match rows by")
        rows = np.unique(np.linspace(0, found.n - 1, min(found.n, NATIVE_QUERIES)).astype(int))
        texts = (Path(folder) / "ids.txt").read_text(encoding="utf-8").splitlines()
        kind = type(example)
        try:
            ids = [kind(texts[row]) for row in rows]
        except ValueError:
            raise InputError(
                f"{folder}: ids such as {texts[0]!r} are not of the store's type, {kind.__name__}"
            ) from None
        return cls(ids, found.read([space.name], rows)[space.name])


def check_migration(
    store: Store,
    place: Target,
    linear_map: LinearMap,
    *,
    ids: list[Any],
    unit: bool,
    natives: Natives | None,
) -> dict[str, Any]:
    """Read back and search.

    Parameters
    ----------
    store, place
        Old and new vectors.
    linear_map
        What should lie between them.
    ids
        Items that this run wrote.
    unit
        Whether new vectors were scaled to length 1.
    natives
        Native vectors to search with, or None.

    Returns
    -------
    checks
        `read_back` (items compared), `differ` (of them, those that are not what the map makes),
        `neighbours_kept` and `found` (shares, with `_low`, `_high`)
        beside `chance`; None where there was nothing to look at.

    Raises
    ------
    InputError
        When vectors are not what the map makes of the old ones, or searches find no more than chance
        would.
    """
    compared, differ = _read_back(store, place, linear_map, ids, unit=unit)
    n = place.count()
    checks: dict[str, Any] = {"read_back": compared, "differ": differ, "items": n, "k": K}
    checks["chance"] = None
    if n < LEAST_ITEMS:
        return checks | _share("neighbours_kept", None) | _share("found", None)
    chance = checks["chance"] = K / n
    checks |= _share("neighbours_kept", _neighbours(store, place))
    checks |= _share("found", _found(place, natives))
    for name, said in (
        ("neighbours_kept", "of an item's ten old neighbours are among its ten new ones"),
        ("found", "of native vectors find their own item among the first ten"),
    ):
        share, low = checks[name], checks[f"{name}_low"]
        if share is not None and low <= 2 * chance:
            raise InputError(
                f"{place.name}: only {100 * share:.1f} % {said}, where chance gives "
                f"{100 * chance:.2g} %: the map does not fit these vectors, or was fitted the wrong "
                "way round; nothing was switched over"
            )
    return checks


def _share(name: str, counts: tuple[int, int] | None) -> dict[str, float | None]:
    if counts is None or not counts[1]:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = proportion_interval(*counts)
    return {name: counts[0] / counts[1], f"{name}_low": low, f"{name}_high": high}


def _read_back(
    store: Store, place: Target, linear_map: LinearMap, ids: list[Any], *, unit: bool
) -> tuple[int, int]:
    """Compare items with what the map makes of their old vectors; return how many, and how many differ."""
    if not ids:
        return 0, 0
    old = np.asarray(store.read(ids), np.float64)
    new = np.asarray(place.read(ids), np.float64)
    expected = old @ linear_map.weight.T + linear_map.bias
    if unit or place.metric == "cosine":
        # Some stores keep directions only.
        expected, new = directions(expected), directions(new)
    present = ~np.isnan(old[:, 0])
    error = np.linalg.norm(new - expected, axis=1)
    # An item without a vector there is as wrong as another vector.
    wrong = present & ~(error <= TOLERANCE * np.linalg.norm(expected, axis=1))
    if wrong.sum() > MOST_NATIVE * present.sum():
        item = ids[int(np.flatnonzero(wrong)[0])]
        raise InputError(
            f"{place.name}: {int(wrong.sum())} of {len(ids)} items read back, item {item} among "
            "them, are not what the map makes of their old vectors; did something else write there, "
            "or change the old vectors meanwhile? Nothing was switched over"
        )
    return int(present.sum()), int(wrong.sum())


def _neighbours(store: Store, place: Target) -> tuple[int, int] | None:
    """Return how many of items' old neighbours are new neighbours too, of how many."""
    sample = store.sample(NEIGHBOUR_ITEMS)
    new = place.read(sample.ids)
    both = ~(np.isnan(new[:, 0]) | np.isnan(sample.vectors[:, 0]))
    ids = [item for item, kept in zip(sample.ids, both, strict=True) if kept]
    if not ids:
        return None
    before = store.search(sample.vectors[both], K + 1)
    after = place.search(new[both], K + 1)
    hits = [
        len((set(old) - {item}) & (set(now) - {item}))
        for item, old, now in zip(ids, before, after, strict=True)
    ]
    return min(sum(hits), K * len(ids)), K * len(ids)


def _found(place: Target, natives: Natives | None) -> tuple[int, int] | None:
    """Return how many native vectors find their own item, of how many whose item is there."""
    if natives is None:
        return None
    there = ~np.isnan(place.read(natives.ids)[:, 0])
    ids = [item for item, kept in zip(natives.ids, there, strict=True) if kept]
    if not ids:
        raise InputError(
            f"{place.name}: none of the items of --check is there, such as {natives.ids[0]!r}; its "
            "ids must be the store's"
        )
    results = place.search(natives.vectors[there], K)
    return sum(item in found for item, found in zip(ids, results, strict=True)), len(ids)
