"""Migrations of stores that are files, without the pass that does them."""

from __future__ import annotations

import numpy as np
from tests.stores import migration

from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store

OLD, NEW = 12, 7
MATRIX = np.random.default_rng(5).standard_normal((OLD, NEW)).astype(np.float32)
MARK = MigrationRecord("0" * 64, Space("a", OLD), Space("b", NEW))


def mapped(vectors):
    """Return what the map makes of (n, 12) rows."""
    return vectors.astype(np.float32) @ MATRIX


def convert(batch):
    """Return what the map makes of a batch."""
    return mapped(batch.vectors)


def begin(source, text, mark=MARK):
    """Return a store and a target that stands."""
    store = open_store(source)
    return store, migration.begin(store, text, mark)


def migrate(source, text, *, size=100, most=None, mark=MARK):
    """Go on with a migration, through some batches or to its end; return how many rows it wrote."""
    store, target = begin(source, text, mark)
    written = 0
    try:
        while count := migration.write_round(target, mapped, size=size, most=most):
            written += count
            if most is not None:
                return written
        target.finish()
    finally:
        target.close()
        store.close()
    return written
