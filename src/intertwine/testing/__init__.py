"""Tests for a store of your own; pytest is needed here, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intertwine.testing.stores import StoreConformance

__all__ = ["StoreConformance"]


def __getattr__(name: str) -> Any:
    """Import the tests when they are asked for, so that failing ones show values."""
    if name != "StoreConformance":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    pytest.register_assert_rewrite("intertwine.testing.stores")
    from intertwine.testing.stores import StoreConformance as Tests

    return Tests
