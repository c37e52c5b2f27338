"""A store of nobody's library, in memory, whose scheme is registered from outside, passes all tests."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.stores import Batch, MigrationRecord, register_scheme
from intertwine.stores.exact_search import exact_search
from intertwine.stores.store import require_ours
from intertwine.testing import StoreConformance

TABLES: dict[str, Table] = {}
# The tables that some names stand for since a switch.
SWITCHED: dict[str, str] = {}


@dataclass
class Table:
    """Vectors and texts by id, and what a migration notes of them."""

    vectors: dict = field(default_factory=dict)
    texts: dict = field(default_factory=dict)
    record: MigrationRecord | None = None


class MemoryStore:
    """A table in memory."""

    metric = "cosine"

    def __init__(self, address, table, dim):
        self.address, self.name, self.table, self.dim = address, address.shown, table, dim

    def count(self):
        """Return the number of items."""
        return len(self.table.vectors)

    def batches(self, size, after=None):
        """Yield the items in the order in which they were added."""
        ids = list(self.table.vectors)
        start = 0 if after is None else ids.index(after) + 1
        for first in range(start, len(ids), size):
            some = ids[first : first + size]
            yield Batch(some, self.read(some), [self.table.texts[item] for item in some])

    def sample(self, size):
        """Return the first items."""
        return next(self.batches(size))

    def read(self, ids):
        """Return vectors of items, a row of NaN where there is none."""
        absent = np.full(self.dim, np.nan, np.float32)
        return np.stack([self.table.vectors.get(item, absent) for item in ids])

    def search(self, queries, k):
        """Return the nearest items of each query."""
        ids = list(self.table.vectors)
        found = exact_search([(0, self.read(ids))], queries, k, self.metric)
        return [[ids[row] for row in rows] for rows in found]

    def mark(self):
        """Return what a migration noted."""
        return self.table.record

    def close(self):
        """Close nothing."""


class MemoryTarget(MemoryStore):
    """A table that a migration fills beside its source."""

    reads_beside_writes, writers, tolerance = False, 1, 1e-5

    def __init__(self, source, address, record):
        self.source, self.record = source, record
        super().__init__(address, TABLES.get(address.place, Table()), record.target.dim)

    def lock(self):
        """Hold nothing: other processes do not see this memory."""
        return nullcontext()

    def require_ready(self, *, force=False):
        """Return no warnings."""
        del force
        return []

    def exists(self):
        """Whether there is a table of that name."""
        return self.address.place in TABLES

    def create(self):
        """Make the table."""
        self.table.record = self.record
        TABLES[self.address.place] = self.table

    def pending(self, size):
        """Yield the source's items that are not here."""
        if not self.switched():
            for batch in self.source.batches(size):
                rows = [i for i, item in enumerate(batch.ids) if item not in self.table.vectors]
                if rows:
                    ids, texts = ([part[i] for i in rows] for part in (batch.ids, batch.payload))
                    yield Batch(ids, batch.vectors[rows], texts)

    def require_fits(self, batch, vectors):
        """Accept all numbers."""

    def write(self, batch, vectors):
        """Add items."""
        self.table.vectors |= zip(batch.ids, vectors, strict=True)
        self.table.texts |= zip(batch.ids, batch.payload, strict=True)
        return len(batch.ids)

    def written_here(self, ids):
        """Return that nobody else writes here."""
        return np.ones(len(ids), bool)

    def missing(self):
        """Return that all items have a vector."""
        return 0

    def finish(self):
        """Build no index."""
        return []

    def switched(self):
        """Whether the source's name stands for this table."""
        return SWITCHED.get(self.source.address.place) == self.address.place

    def switch(self, convert):
        """Convert what is pending, and make the source's name stand for this table."""
        for batch in self.pending(100):
            self.write(batch, convert(batch))
        SWITCHED[self.source.address.place] = self.address.place
        return []

    def rollback(self, *, force=False):
        """Make the source's name stand for its own table again."""
        del force
        if not self.switched():
            raise InputError(f"{self.source.name} is not switched over; nothing to roll back")
        del SWITCHED[self.source.address.place]
        return []

    def drop(self):
        """Remove the table."""
        if self.switched():
            raise InputError(f"{self.source.name} stands for these vectors; roll back first")
        require_ours(self.mark(), self.record, self.name)
        del TABLES[self.address.place]


def open_store(address):
    """Open a table by its name."""
    address.only()
    table = TABLES.get(SWITCHED.get(address.place, address.place))
    if table is None:
        raise InputError(f"{address.shown}: there is no such table in memory")
    return MemoryStore(address, table, len(next(iter(table.vectors.values()))))


def target_of(source, text, record):
    """Return the table that an address names, beside a source."""
    address = source.address.beside(text)
    if address.place == source.address.place:
        raise InputError(f"{source.name} is the source itself; name another table")
    return MemoryTarget(source, replace(address, options={}), record)


register_scheme("memory", __name__)


class TestMemory(StoreConformance):
    """A table in memory."""

    persistent = False

    def addresses(self, folder):
        """Return two names that begin with the folder's."""
        return f"memory:{folder}/items", f"memory:{folder}/new"

    def make(self, address, ids, vectors, texts):
        """Add a table."""
        pairs = (dict(zip(ids, values, strict=True)) for values in (vectors, texts))
        TABLES[address.partition(":")[2]] = Table(*pairs)

    def texts(self, address):
        """Return the texts of a table."""
        name = address.partition(":")[2]
        return list(TABLES[SWITCHED.get(name, name)].texts.values())


def test_a_scheme_that_is_taken_is_refused():
    """The same modules may be registered again, others may not."""
    register_scheme("memory", __name__)
    with pytest.raises(InputError, match="scheme 'faiss' for a store of mine, but"):
        register_scheme("faiss", "mine")
