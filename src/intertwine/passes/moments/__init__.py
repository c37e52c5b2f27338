"""Joint moments of a feature set in one pass, in parallel, resumed after a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.extras import lazy_names

if TYPE_CHECKING:
    from intertwine.passes.moments.joint import joint_moments

__all__ = [
    "joint_moments",
]

__getattr__ = lazy_names(
    __name__,
    {
        "joint_moments": "joint",
    },
)
