"""Whether a migrated store holds what it should, and finds what it should.

Counts and shapes are right even when a map was applied the wrong way. So vectors are read back and
compared with the map, by other arithmetic than wrote them; and searches are made: do neighbours
stay neighbours, and, with native vectors of the new model, is an item's new vector found by its
native one?
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.metrics.intervals import proportion_interval
from intertwine.numerics.linalg import unit as directions
from intertwine.storage.untrusted import printable
from intertwine.stores.store import RoundedTarget, SpellsIds

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Space
    from intertwine.stores import Batch, Store, Target

K = 10
# Items whose neighbours are looked at, and native vectors searched with.
NEIGHBOUR_ITEMS, NATIVE_QUERIES = 12, 100
# Of numbers of 32 bits, which most vectors are computed in: error of a product, as a share of the
# length that its terms can have.
ARITHMETIC = 2e-6
# How often vectors beside the expected one are coded where codes differ, and how far off these are, as
# a share of what is allowed.
NEAR, NOISE = 24, 0.1
# Codes that are off by at most so much of a length are right where they are as near as the code itself.
FINE = 0.05
# Above this share of vectors that somebody else wrote otherwise something may be wrong.
MOST_NATIVE = 0.1
# Items that look wrong before they are converted again and looked at once more.
SUSPECTS = 10_000
# Times that they are, where others write all the time.
LOOKS = 5
# With fewer items chance finds too much to tell.
LEAST_ITEMS = 100


@dataclass(frozen=True)
class Natives:
    """Ids of some items, of the store's type, and their vectors by the new model, (m, d_target)."""

    ids: list[Any]
    vectors: Array

    @classmethod
    def of(
        cls, folder: str | os.PathLike[str], space: Space, store: Store, example: Any
    ) -> Natives:
        """Read them from a feature set with `ids.txt`.

        Ids become of the type of `example`, one of the store's.
        """
        found = FeatureSet.open(folder)
        found.require([space.name])
        space.require(found.spaces[space.name])
        if not found.has_ids:
            raise InputError(f"{folder}: has no ids.txt, expected the store's ids to match rows by")
        rows = np.unique(np.linspace(0, found.n - 1, min(found.n, NATIVE_QUERIES)).astype(int))
        texts = found.ids()
        asked = [texts[row] for row in rows]
        kind = type(example)
        try:
            ids = store.ids_from(asked) if isinstance(store, SpellsIds) else [*map(kind, asked)]
        except ValueError as error:
            why = f" ({error})" if isinstance(error, InputError) else ""
            wrong = next((text for text in asked if not _is_a(kind, text)), asked[0])
            raise InputError(
                f"{folder}: ids such as {wrong!r} are not of the store's type, {kind.__name__}{why}"
            ) from None
        return cls(ids, found.read([space.name], rows)[space.name])

    def require_there(self, store: Store, place: Target) -> None:
        """Raise, before anything is written, where neither store nor target has any of the items."""
        if (~np.isnan(store.read(self.ids)[:, 0])).any():
            return
        # Items that the new model alone embedded; files are not read before they are finished.
        with suppress(InputError):
            if place.exists() and (~np.isnan(place.read(self.ids)[:, 0])).any():
                return
        raise self.none_there(store.name)

    def none_there(self, name: str) -> InputError:
        """Return the error that none of the items is in a store."""
        return InputError(
            f"{name}: none of the items of --check is there, such as {self.ids[0]!r}; its ids must be the "
            "store's"
        )


def _is_a(kind: type, text: str) -> bool:
    """Whether a type reads a text."""
    try:
        kind(text)
    except (TypeError, ValueError):
        return False
    return True


@dataclass
class ReadBack:
    """Compares vectors in the new place with what the map makes of the old ones.

    What lacks a vector, or is wrong though a migration wrote it, may have come or changed a moment
    ago: `again` converts what is pending, and it is wrong only if it still is then. `unit` is
    whether new vectors were scaled to length 1, `most_native` the share of items that another
    program may have written otherwise, `differ` how many of the `compared` items it has.
    """

    store: Store
    place: Target
    linear_map: LinearMap
    unit: bool
    again: Callable[[], None]
    most_native: float = MOST_NATIVE
    compared: int = 0
    differ: int = 0
    _suspects: list[Any] = field(default_factory=list, repr=False)

    def look_at_all(self, size: int, progress: Callable[[str, int, int], None]) -> None:
        """Compare every item of the store."""
        rows = self.store.count()
        for batch in self.store.batches(size):
            self._compare(batch)
            progress("reading back", min(self.compared, rows), rows)
        self._end()

    def look_at(self, batch: Batch) -> None:
        """Compare some items."""
        self._compare(batch)
        self._end()

    def _end(self) -> None:
        self._look_again()
        if self.differ > self.most_native * self.compared:
            raise InputError(
                f"{self.place.name}: {self.differ} of {self.compared} items read back are not what the "
                "map makes of their old vectors, and were not written by a migration; nothing was "
                "switched over. If the new model embedded them natively, add --force"
            )

    def _compare(self, batch: Batch) -> None:
        wrong, lacks = self._wrong(batch.vectors, self.place.read(batch.ids))
        ours = np.zeros(len(wrong), bool)
        ours[wrong] = self.place.written_here([batch.ids[row] for row in np.flatnonzero(wrong)])
        self._suspects += [batch.ids[row] for row in np.flatnonzero(lacks | (wrong & ours))]
        self.differ += int((wrong & ~ours & ~lacks).sum())
        self.compared += int((~np.isnan(batch.vectors[:, 0])).sum())
        if len(self._suspects) >= SUSPECTS:
            self._look_again()

    def _look_again(self) -> None:
        """Convert suspects, and raise for those that are wrong still.

        One that somebody changes at the very moment is a suspect once more, among fewer each time.
        """
        suspects, self._suspects = self._suspects, []
        for left in reversed(range(LOOKS)):
            if not suspects:
                return
            self.again()
            wrong, lacks = self._wrong(self.store.read(suspects), self.place.read(suspects))
            wrong[wrong] = self.place.written_here([suspects[row] for row in np.flatnonzero(wrong)])
            if not left:
                self._require_none(suspects, wrong, lacks)
            suspects = [suspects[row] for row in np.flatnonzero(wrong | lacks)]

    def _require_none(self, suspects: list[Any], wrong: Array, lacks: Array) -> None:
        """Raise where items are wrong, or have no vector."""
        for rows, what in (
            (lacks, "have no vector there, though they have an old one"),
            (
                wrong,
                "are not what the map makes of their old vectors, though a migration wrote them",
            ),
        ):
            if rows.any():
                item = suspects[int(np.flatnonzero(rows)[0])]
                raise InputError(
                    f"{self.place.name}: {int(rows.sum())} of {self.compared} items read back, item "
                    f"{printable(str(item))} among them, {what}; does something else write there, such as a trigger? "
                    "Nothing was switched over"
                )

    def _wrong(self, old: Array, new: Array) -> tuple[Array, Array]:
        """Return which items are not what the map makes, and which have no new vector at all."""
        old, new = np.asarray(old, np.float64), np.asarray(new, np.float64)
        weight, bias = self.linear_map.weight, self.linear_map.bias
        old = self.linear_map.prepared(old)
        expected = old @ weight.T + bias
        allowed = ARITHMETIC * (
            np.linalg.norm(old, axis=1) * np.linalg.norm(weight) + np.linalg.norm(bias)
        )
        lengths = np.linalg.norm(expected, axis=1)
        if self.unit or self.place.metric == "cosine":
            # Some stores keep directions only.
            allowed, lengths = allowed / np.maximum(lengths, np.finfo(float).tiny), 1.0
            expected = directions(expected)
            new = new if isinstance(self.place, RoundedTarget) else directions(new)
        there = ~np.isnan(old[:, 0])
        lacks = there & np.isnan(new[:, 0])
        compared = np.flatnonzero(there & ~lacks)
        allowed = (self.place.tolerance * lengths + allowed)[compared]
        wrong = np.zeros(len(old), bool)
        wrong[compared] = self._off(expected[compared], new[compared], allowed)
        return wrong, lacks

    def _off(self, expected: Array, new: Array, allowed: Array) -> Array:
        """Return which vectors are farther from what is expected than the store's precision explains."""
        error = np.linalg.norm(new - expected, axis=1)
        off: Array = ~(error <= allowed)
        if isinstance(self.place, RoundedTarget) and off.any():
            off[off] = _off_codes(self.place, expected[off], new[off], error[off], allowed[off])
        return off


def _off_codes(
    place: RoundedTarget, expected: Array, new: Array, error: Array, allowed: Array
) -> Array:
    """Return which vectors are not what a store's codes make of those expected.

    Between two codes the last bit of a number decides: the code on its other side is as right.
    """
    chance = np.random.default_rng(0)
    off = np.ones(len(new), bool)
    for attempt in range(NEAR):
        rows = np.flatnonzero(off)
        if not len(rows):
            break
        noise = chance.standard_normal((len(rows), expected.shape[1])) * (attempt > 0)
        noise *= NOISE * (allowed[rows] / np.sqrt(expected.shape[1]))[:, np.newaxis]
        stored = np.asarray(place.as_stored(expected[rows] + noise), np.float64)
        right = np.linalg.norm(new[rows] - stored, axis=1) <= allowed[rows]
        if attempt == 0:
            least = np.linalg.norm(stored - expected[rows], axis=1)
            fine = least <= FINE * np.linalg.norm(expected[rows], axis=1)
            right |= fine & (error[rows] <= least + allowed[rows])
        off[rows] = ~right
    return off


def check_migration(
    store: Store, place: Target, read_back: ReadBack, *, natives: Natives | None
) -> dict[str, Any]:
    """Search, and return a JSON-ready summary of that and of what was read back.

    Its keys are `read_back` (items compared), `differ` (of them, those that are not what the map
    makes), `neighbours_kept` and `found` (shares, with `_low`, `_high`) beside `chance`; None where
    there was nothing to look at. Searches that find no more than chance would raise an error.
    """
    compared, differ = read_back.compared, read_back.differ
    n = place.count()
    checks: dict[str, Any] = {"read_back": compared, "differ": differ, "items": n, "k": K}
    checks["chance"] = None
    if n < LEAST_ITEMS:
        return checks | _share("neighbours_kept", None) | _share("found", None)
    chance = checks["chance"] = K / n
    checks |= _share("neighbours_kept", _neighbours(store, place))
    checks |= _share("found", _found(place, natives))
    for name, what in (
        ("neighbours_kept", "of an item's ten old neighbours are among its ten new ones"),
        ("found", "of native vectors find their own item among the first ten"),
    ):
        share, low = checks[name], checks[f"{name}_low"]
        if share is not None and low <= 2 * chance:
            raise InputError(
                f"{place.name}: only {100 * share:.1f} % {what}, where chance gives "
                f"{100 * chance:.2g} %: the map does not fit these vectors, or was fitted the wrong "
                "way round; nothing was switched over"
            )
    return checks


def _share(name: str, counts: tuple[int, int] | None) -> dict[str, float | None]:
    if counts is None or not counts[1]:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = proportion_interval(*counts)
    return {name: counts[0] / counts[1], f"{name}_low": low, f"{name}_high": high}


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
        raise natives.none_there(place.name)
    results = place.search(natives.vectors[there], K)
    return sum(item in found for item, found in zip(ids, results, strict=True)), len(ids)
