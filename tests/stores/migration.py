"""A migration of a store, without the pass that does it."""

from __future__ import annotations

from itertools import islice

from intertwine.stores.store import require_ours


def begin(source, text, mark):
    """Return a target beside a store, which stands from then on."""
    target = source.target(text, mark)
    if target.exists():
        require_ours(target.mark(), mark, target.name)
    else:
        target.create()
    return target


def write_round(target, mapped, *, size, most=None):
    """Write what is pending, or some batches of it; return how many items were written."""
    written = 0
    for batch in islice(target.pending(size), most):
        assert len(batch.ids) <= size
        written += target.write(batch, mapped(batch.vectors))
    return written


def migrate(source, text, mapped, *, mark, size, rounds=None):
    """Bring all of a source to a target, or some batches, and return the target."""
    target = begin(source, text, mark)
    while write_round(target, mapped, size=size, most=rounds):
        if rounds:
            break
    return target
