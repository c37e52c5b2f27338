"""A vector store moved to another space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.extras import lazy_names

if TYPE_CHECKING:
    from intertwine.passes.migrate.run import MigrateOptions, migrate

__all__ = [
    "MigrateOptions",
    "migrate",
]

__getattr__ = lazy_names(
    __name__,
    {
        "MigrateOptions": "run",
        "migrate": "run",
    },
)
