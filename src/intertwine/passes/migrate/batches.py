"""Mapping and writing one batch of a migration."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.numerics.linalg import unit
from intertwine.parallel.threads import prefetch
from intertwine.storage.untrusted import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from intertwine.maps.linear_map import LinearMap, ReadyMap
    from intertwine.numerics.arrays import Array
    from intertwine.stores import Batch, Target


@dataclass(frozen=True)
class BatchMapper:
    """Maps batches of a store, and scales new vectors to length 1 where `unit` is set."""

    linear_map: LinearMap
    name: str
    metric: str | None
    unit: bool
    # For each type of number that batches came in.
    _ready: dict[np.dtype[Any], ReadyMap] = field(default_factory=dict, repr=False)

    def mapped(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Array]]:
        """Yield batches with their new vectors."""
        for batch in batches:
            yield batch, self.map(batch)

    def map(self, batch: Batch) -> Array:
        """Return new vectors, (b, d_target), a row of NaN where an item has no vector.

        They are float32, or float64 where the old ones are. A zero vector under cosine, and numbers
        that cannot be mapped, raise an error that names the items.
        """
        present = ~np.isnan(batch.vectors[:, 0])
        old = batch.vectors[present]
        self._require_directions(batch, present)
        number = np.promote_types(old.dtype, np.float32)
        mapped = np.empty((len(old), self.linear_map.target.dim), number)
        if number not in self._ready:
            self._ready[number] = self.linear_map.ready_for(number)
        try:
            self._ready[number].apply(old, mapped)
        except InputError as error:
            raise InputError(
                f"{self.name}: items {_shown(batch.ids[0])} to {_shown(batch.ids[-1])}: {error}; what was written "
                "stays"
            ) from error
        if self.unit:
            mapped = unit(mapped)
        if present.all():
            return mapped
        out = np.full((len(present), mapped.shape[1]), np.nan, number)
        out[present] = mapped
        return out

    def _require_directions(self, batch: Batch, present: Array) -> None:
        if self.metric != "cosine":
            return
        zero = present & ~batch.vectors.any(axis=1)
        if zero.any():
            item = batch.ids[int(np.flatnonzero(zero)[0])]
            raise InputError(
                f"{self.name}: item {_shown(item)} is a zero vector, which has no direction under cosine; "
                "remove it or leave it without a vector, then run again to go on"
            )


def _shown(item: Any) -> str:
    """Return an id as a line may show it."""
    return printable(str(item))


def written(place: Target, mapped: Iterable[tuple[Batch, Array]]) -> Iterator[tuple[Batch, int]]:
    """Write batches, several at a time where the store allows it.

    Each is yielded, in order, with how many of its items were written.
    """
    if place.writers == 1:
        for batch, vectors in prefetch(mapped) if place.reads_beside_writes else mapped:
            yield batch, place.write(batch, vectors)
        return
    waiting: deque[tuple[Batch, Future[int]]] = deque()
    with ThreadPoolExecutor(place.writers) as pool:
        try:
            for batch, vectors in prefetch(mapped):
                waiting.append((batch, pool.submit(place.write, batch, vectors)))
                if len(waiting) > place.writers:
                    done, wrote = waiting.popleft()
                    yield done, wrote.result()
            while waiting:
                done, wrote = waiting.popleft()
                yield done, wrote.result()
        finally:
            for _, future in waiting:
                future.cancel()
