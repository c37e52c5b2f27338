"""What a migration notes of the points that it writes, in a collection of its own without vectors."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.stores.origins import MAPPED, Origin, digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.qdrant.store import QdrantStore

PAGE = 1000
# Numbers that a vector is known again by, whatever a store rounds, and how near they have to be.
NUMBERS, NEAR = 4, 0.01
ABSENT = "-"


@dataclass(frozen=True)
class Look:
    """Enough of a point in the target to know it again: digests and sketches of what it holds.

    The payload has a digest, the vector a sketch; other vectors have theirs by name.
    """

    payload: str
    vector: Any
    others: dict[str, Any]

    def same_vector(self, other: Look) -> bool:
        """Whether the vector is the same, up to what a store rounds."""
        return _near(self.vector, other.vector)

    def same_rest(self, other: Look) -> bool:
        """Whether everything but the vector is the same."""
        return (
            self.payload == other.payload
            and self.others.keys() == other.others.keys()
            and all(_near(sketch, other.others[name]) for name, sketch in self.others.items())
        )

    def same(self, other: Look) -> bool:
        """Whether the whole point is the same."""
        return self.same_vector(other) and self.same_rest(other)


@dataclass(frozen=True)
class Entry:
    """What a point was made from, and its look; while it is replaced, also its look before."""

    origin: Origin
    looks: tuple[Look, ...]

    @property
    def look(self) -> Look:
        """The look of the point once it is written."""
        return self.looks[-1]

    def knows(self, look: Look) -> bool:
        """Whether a point is as a migration wrote it."""
        return any(look.same(known) for known in self.looks)

    def to_payload(self) -> dict[str, Any]:
        """Return the entry as a payload."""
        return {"origin": self.origin.to_text(), "looks": [asdict(look) for look in self.looks]}

    @classmethod
    def from_payload(cls, payload: Any) -> Entry | None:
        """Return the entry that a payload holds; None for anything else."""
        try:
            origin = Origin.from_text(payload["origin"])
            looks = tuple(Look(**look) for look in payload["looks"])
        except (KeyError, TypeError):
            return None
        return cls(origin, looks) if origin and looks else None


def plain(value: Any) -> Any:
    """Return a vector of the client's in plain lists, or in a mapping."""
    return value.model_dump() if hasattr(value, "model_dump") else value


def origin_of(record: Any, vector: str, how: str = MAPPED) -> Origin:
    """Return digests of a point of the source."""
    own, others = vectors_of(record, vector)
    content = [record.payload or {}, {name: plain(other) for name, other in others.items()}]
    old = ABSENT if own is None else digest(np.asarray(own, np.float64).tobytes())
    return Origin(old, digest(json.dumps(content, sort_keys=True, default=str).encode()), how=how)


def look_of(payload: Any, own: Any, others: Mapping[str, Any]) -> Look:
    """Return the look of a point."""
    text = json.dumps(payload or {}, sort_keys=True, default=str)
    return Look(digest(text.encode()), sketch(own), {n: sketch(v) for n, v in others.items()})


def look_at(record: Any, vector: str) -> Look:
    """Return the look of a record."""
    return look_of(record.payload, *vectors_of(record, vector))


def vectors_of(record: Any, vector: str) -> tuple[Any, dict[str, Any]]:
    """Return the vector of a record, None where it has none, and its other vectors."""
    found = record.vector
    if not isinstance(found, dict):
        return found or None, {}
    return found.get(vector) or None, {n: v for n, v in found.items() if n != vector}


def sketch(vector: Any) -> Any:
    """Return a few numbers that a vector is known again by; a digest of one that is sparse."""
    if vector is None:
        return ABSENT
    value = plain(vector)
    if isinstance(value, dict):
        return digest(json.dumps(value, sort_keys=True).encode())
    row = np.asarray(value, np.float64).ravel()
    length = np.linalg.norm(row) or 1.0
    return [round(float(number), 4) for number in _directions(len(row)) @ row / length]


@cache
def _directions(dim: int) -> Array:
    return np.random.default_rng(dim).standard_normal((NUMBERS, dim))


def _near(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    return len(one) == len(other) and bool(np.abs(np.subtract(one, other)).max() <= NEAR)


class Ledger:
    """The collection of a target's entries."""

    def __init__(self, store: QdrantStore) -> None:
        self.store, self.name = store, f"{store.collection.name}-origins"

    def exists(self) -> bool:
        """Whether it is there."""
        return bool(self.store.ask("collection_exists", self.name))

    def create(self) -> None:
        """Make it, empty."""
        self.drop()
        self.store.ask("create_collection", self.name, vectors_config={})

    def drop(self) -> None:
        """Remove it."""
        if self.exists():
            self.store.ask("delete_collection", self.name)

    def metadata(self) -> dict[str, Any]:
        """Return what is noted of the whole collection."""
        return dict(self.store.ask("get_collection", self.name).config.metadata or {})

    def note(self, key: str, text: str) -> None:
        """Note something of the whole collection."""
        self.store.ask("update_collection", self.name, metadata={key: text})

    def read(self, ids: Sequence[Any]) -> dict[str, Entry]:
        """Return the entries of some points, by the text of their ids."""
        found = {}
        for first in range(0, len(ids), PAGE):
            some = list(ids[first : first + PAGE])
            for record in self.store.ask("retrieve", self.name, some, with_payload=True):
                if entry := Entry.from_payload(record.payload):
                    found[str(record.id)] = entry
        return found

    def write(self, entries: Mapping[Any, Entry]) -> None:
        """Note entries by id."""
        make, items = self.store.models.PointStruct, list(entries.items())
        for first in range(0, len(items), PAGE):
            points = [
                make(id=item, vector={}, payload=entry.to_payload())
                for item, entry in items[first : first + PAGE]
            ]
            self.store.ask("upsert", self.name, points, wait=True)

    def remove(self, ids: Sequence[Any]) -> None:
        """Remove entries."""
        delete(self.store, self.name, ids)

    def pages(self) -> Iterator[list[Any]]:
        """Yield the ids of all points that a migration wrote, a page a time."""
        offset = None
        while True:
            page, offset = self.store.ask(
                "scroll", self.name, limit=PAGE, offset=offset, with_payload=False
            )
            if page:
                yield [record.id for record in page]
            if offset is None:
                return


def delete(store: QdrantStore, name: str, ids: Sequence[Any]) -> None:
    """Delete points of a collection."""
    for first in range(0, len(ids), PAGE):
        chosen = store.models.PointIdsList(points=list(ids[first : first + PAGE]))
        store.ask("delete", name, chosen, wait=True)
