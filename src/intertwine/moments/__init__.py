"""Joint moments of any number of spaces, and how blocks of rows are added to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.extras import lazy_names

if TYPE_CHECKING:
    from intertwine.moments.moments import Moments

__all__ = [
    "Moments",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Moments": "moments",
    },
)
