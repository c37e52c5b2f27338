"""What every vector store offers, and what a migration writes beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from intertwine._moved import old_names
from intertwine.errors import InputError, SpaceMismatchError
from intertwine.spaces import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address

    Metric = Literal["cosine", "ip", "l2"]
    # Maps the vectors of a batch, a row of NaN where an item has none.
    Convert = Callable[["Batch"], Array]

METRICS = ("cosine", "ip", "l2")
# Begins the note that tells a target of ours from anything else.
SIGNATURE = "intertwine "
# Largest relative error of a vector that was stored with so many bits a number.
SINGLE, HALF = 1e-5, 4e-3

__getattr__ = old_names(__name__, {"Mark": "MigrationRecord"})


@dataclass(frozen=True)
class Batch:
    """Some items of a store.

    Parameters
    ----------
    ids
        (b,) by which the store tells items apart.
    vectors
        (b, d) floating point; a row of NaN where the item has no vector.
    payload
        What else belongs to the items, in a form of the store's own.
    """

    ids: list[Any]
    vectors: Array
    payload: Any = None


@dataclass(frozen=True)
class MigrationRecord:
    """What is noted, in the store itself, of vectors that a migration writes.

    Parameters
    ----------
    map_sha256
        Hash of the file of the map.
    source, target
        Spaces of the map.
    kept
        After the switch: what the store needs to know to go back.
    """

    map_sha256: str
    source: Space
    target: Space
    kept: str | None = None

    @classmethod
    def of(cls, linear_map: LinearMap, map_sha256: str) -> MigrationRecord:
        """Return the record of what a map makes."""
        return cls(map_sha256, linear_map.source, linear_map.target)

    def to_text(self) -> str:
        """Return the record as a line of text."""
        return SIGNATURE + json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str | None) -> MigrationRecord | None:
        """Return the record that a text holds; None for any other text."""
        if not text or not text.startswith(SIGNATURE):
            return None
        try:
            value = json.loads(text[len(SIGNATURE) :])
            spaces = {side: Space.from_json(value[side]) for side in ("source", "target")}
            kept = value["kept"]
            return cls(str(value["map_sha256"]), **spaces, kept=None if kept is None else str(kept))
        except (ValueError, KeyError, TypeError):
            return None

    def after_switch_of(self, before: MigrationRecord) -> bool:
        """Whether this is what the record of a migration became by its switch."""
        return self.kept is not None and self.switched(None) == before

    def switched(self, kept: str | None) -> MigrationRecord:
        """Return the record after a switch, or before it with None."""
        return replace(self, kept=kept)


class Store(Protocol):
    """Vectors of one space under one metric.

    Attributes
    ----------
    address
        Where it is.
    name
        The address without secrets: what errors and reports show.
    dim
        Dimension of its vectors.
    metric
        Metric of its searches; None where the store does not say.
    """

    address: Address
    name: str
    dim: int
    metric: Metric | None

    def count(self) -> int:
        """Return the number of items that have a vector."""

    def batches(self, size: int, after: Any = None) -> Iterator[Batch]:
        """Yield all items that have a vector, in one order.

        Parameters
        ----------
        size
            Most items of a batch.
        after
            An id, behind which to begin; at the first item when None.
        """

    def sample(self, size: int) -> Batch:
        """Return some items, spread over the store, the same ones each time.

        Parameters
        ----------
        size
            How many; all of them where the store has fewer.
        """

    def read(self, ids: Sequence[Any]) -> Array:
        """Return the vectors of items.

        Parameters
        ----------
        ids
            Of the items, in any order; some may not be there.

        Returns
        -------
        vectors
            (len(ids), d), a row of NaN where there is none.
        """

    def search(self, queries: Array, k: int) -> list[list[Any]]:
        """Search as the store itself does.

        Parameters
        ----------
        queries
            (q, d).
        k
            Most items a query.

        Returns
        -------
        ids
            A list a query, best first.
        """

    def mark(self) -> MigrationRecord | None:
        """Return what a migration noted of these vectors; None where no migration made them."""

    def close(self) -> None:
        """Close files and connections."""


@runtime_checkable
class SpellsIds(Protocol):
    """A store that reads ids from their texts itself; those of others are whole numbers or texts."""

    def ids_from(self, texts: Sequence[str]) -> list[Any]:
        """Return the ids that texts spell, as the store's batches have them.

        Parameters
        ----------
        texts
            One an id.

        Raises
        ------
        InputError
            For a text that spells none.
        """


class Target(Store, Protocol):
    """Vectors that a migration writes beside the store that they come from.

    Attributes
    ----------
    reads_beside_writes
        Whether one thread may read from `pending` while others write.
    writers
        How many threads may write at a time.
    """

    reads_beside_writes: bool
    writers: int

    @property
    def tolerance(self) -> float:
        """Largest relative error of a vector read back that the store's own precision explains."""

    def lock(self) -> AbstractContextManager[None]:
        """Hold this target for one run; a kill releases it.

        Raises
        ------
        InputError
            When another run holds it, saying which.
        """

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise, before anything is written and in a dry run too, for what makes this harmful.

        Parameters
        ----------
        force
            Whether to accept what is harmful, but possible.

        Returns
        -------
        warnings
            What was accepted, and what else a user should know.

        Raises
        ------
        InputError
            Naming what makes the migration or its switch impossible or harmful.
        """

    def exists(self) -> bool:
        """Whether there is something of that name."""

    def create(self) -> None:
        """Make the place, with its record, and no vectors in it."""

    def pending(self, size: int) -> Iterator[Batch]:
        """Yield the source's items that are not here, and those written here that have changed since.

        An item has changed when its old vector, its payload or another vector of it has. After a switch
        these are the items that have an old vector only.

        Parameters
        ----------
        size
            Most items of a batch.
        """

    def require_fits(self, batch: Batch, vectors: Array) -> None:
        """Raise what `write` would for these vectors, and write nothing.

        Parameters
        ----------
        batch, vectors
            As for `write`.

        Raises
        ------
        InputError
            For numbers that the store cannot hold.
        """

    def write(self, batch: Batch, vectors: Array) -> int:
        """Write vectors of items, with their payload, all or none.

        Items that are absent are added, those that changed since a migration wrote them are replaced;
        what another program wrote is never overwritten.

        Parameters
        ----------
        batch
            Of the source, as `pending` yields it.
        vectors
            (b, d) new ones, a row of NaN where an item has none.

        Returns
        -------
        written
            How many items were.
        """

    def written_here(self, ids: Sequence[Any]) -> Array:
        """Return whether a migration wrote the vectors of items, rather than another program.

        Parameters
        ----------
        ids
            Of the items.

        Returns
        -------
        ours
            (len(ids),) booleans.
        """

    def missing(self) -> int:
        """Return how many items of the name that stands for these vectors have none."""

    def finish(self) -> list[str]:
        """Build what searches need, such as the source's indexes; return notes."""

    def switched(self) -> bool:
        """Whether the source's name stands for these vectors now."""

    def switch(self, convert: Convert) -> list[str]:
        """Make the source's name stand for these vectors; the old ones are kept; return notes.

        In one transaction or critical section: what is still pending is converted, deletions and edits
        are carried over, nothing is left pending, and only then the name is switched.

        Parameters
        ----------
        convert
            Returns the new vectors of a batch.
        """

    def rollback(self, *, force: bool = False) -> list[str]:
        """Make the source's name stand for the old vectors again; these are kept; return notes.

        What was added, edited or deleted since the switch is carried along and named in a note.

        Parameters
        ----------
        force
            Whether to go back even where the store cannot carry something along.

        Raises
        ------
        InputError
            Where the store cannot carry it along, unless forced; then the new content is kept beside
            under a name that a note states.
        """

    def drop(self) -> None:
        """Remove these vectors.

        Raises
        ------
        InputError
            While the source's name stands for them, and where another program or map made them.
        """


@runtime_checkable
class RoundedTarget(Protocol):
    """A target whose codes round vectors far more than a type of number does."""

    def as_stored(self, vectors: Array) -> Array:
        """Return vectors as they would be read back.

        Parameters
        ----------
        vectors
            (n, d).
        """


@runtime_checkable
class NamedTarget(Protocol):
    """A target whose source may have a name that cannot stand for anything else."""

    def require_name(self) -> None:
        """Raise where no switch is possible, whatever is written."""


def require_ours(found: MigrationRecord | None, record: MigrationRecord, name: str) -> None:
    """Raise when what is at a target is not of this very migration.

    Vectors of two spaces are never mixed.
    """
    if found is None:
        raise InputError(
            f"{name} exists already and was not made by a migration; name another target"
        )
    record.target.require(found.target)
    record.source.require(found.source)
    if found.map_sha256 != record.map_sha256:
        raise SpaceMismatchError(
            f"{name} holds vectors of another map ({found.map_sha256[:12]}, not "
            f"{record.map_sha256[:12]}); go on with that one, or name another target"
        )


def require_removable(target: Target, source: Store, record: MigrationRecord) -> bool:
    """Raise when a source stands for its target, or that is not of this very migration.

    Return whether there is a target.
    """
    if target.switched():
        raise InputError(f"{source.name} stands for these vectors; roll back first")
    if not target.exists():
        return False
    require_ours(target.mark(), record, target.name)
    return True


def check_metric(metric: str | None, name: str) -> Metric | None:
    """Return a metric that was asked for, which must be a known one or None."""
    if metric not in {None, *METRICS}:
        raise InputError(f"{name}: got metric {metric!r}, expected one of {', '.join(METRICS)}")
    return metric  # type: ignore[return-value] # it is one of the three


def common_metric(asked: str | None, source: Metric | None, name: str) -> Metric | None:
    """Return the metric of a target: what was asked for, or the source's; the two must not differ."""
    metric = check_metric(asked, name)
    if metric and source and metric != source:
        raise InputError(
            f"got metric {metric} for the target and {source} for the source, expected one"
        )
    return metric or source
