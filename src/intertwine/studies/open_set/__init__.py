"""Verification of pairs across networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.extras import lazy_names

if TYPE_CHECKING:
    from intertwine.studies.open_set.options import OpenSetOptions
    from intertwine.studies.open_set.report import write_open_set_report
    from intertwine.studies.open_set.study import OpenSetResult, open_set

__all__ = [
    "OpenSetOptions",
    "OpenSetResult",
    "open_set",
    "write_open_set_report",
]

__getattr__ = lazy_names(
    __name__,
    {
        "OpenSetOptions": "options",
        "OpenSetResult": "study",
        "open_set": "study",
        "write_open_set_report": "report",
    },
)
