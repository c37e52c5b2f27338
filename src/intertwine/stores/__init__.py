"""Vector stores, one folder a store, behind one small interface."""

from __future__ import annotations

from intertwine._moved import old_names
from intertwine.stores.opening import open_store, open_target, register_scheme
from intertwine.stores.store import Batch, MigrationRecord, Store, Target

__all__ = [
    "Batch",
    "MigrationRecord",
    "Store",
    "Target",
    "open_store",
    "open_target",
    "register_scheme",
]

__getattr__ = old_names(__name__, {"Mark": "MigrationRecord"})
