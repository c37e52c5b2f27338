"""Migrations of stores that are files, without the pass that does them."""

from __future__ import annotations

import sys
from itertools import islice

import numpy as np

from intertwine.spaces import Space
from intertwine.stores import Mark, open_store
from intertwine.stores.store import require_ours

OLD, NEW = 12, 7
MATRIX = np.random.default_rng(5).standard_normal((OLD, NEW)).astype(np.float32)
MARK = Mark("0" * 64, Space("a", OLD), Space("b", NEW))


def mapped(vectors):
    """Return what the map makes of (n, 12) rows."""
    return vectors.astype(np.float32) @ MATRIX


def begin(source, text, mark=MARK):
    """Return a store and a target that stands."""
    store = open_store(source)
    target = store.target(text, mark)
    if target.exists():
        require_ours(target.mark(), mark, target.name)
    else:
        target.create()
    return store, target


def migrate(source, text, *, size=100, most=None, mark=MARK):
    """Go on with a migration, through some batches or to its end; return how many rows it wrote."""
    store, target = begin(source, text, mark)
    written = 0
    try:
        while batches := list(_write_some(target, size, most)):
            written += sum(batches)
            if most is not None:
                return written
        target.finish()
    finally:
        target.close()
        store.close()
    return written


def _write_some(target, size, most):
    for batch in islice(target.pending(size), most):
        yield target.write(batch, mapped(batch.vectors))


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    migrate(sys.argv[1], sys.argv[2], size=int(sys.argv[3]))
