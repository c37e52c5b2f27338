"""Vector stores, one file a store, behind one small interface."""

from __future__ import annotations

from intertwine.stores.opening import open_store
from intertwine.stores.store import Batch, Mark, Store, Target

__all__ = ["Batch", "Mark", "Store", "Target", "open_store"]
