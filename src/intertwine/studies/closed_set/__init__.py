"""Each network's features, mapped, in every other network's classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.extras import lazy_names

if TYPE_CHECKING:
    from intertwine.studies.closed_set.report import write_closed_set_report
    from intertwine.studies.closed_set.study import ClosedSetResult, closed_set

__all__ = [
    "ClosedSetResult",
    "closed_set",
    "write_closed_set_report",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ClosedSetResult": "study",
        "closed_set": "study",
        "write_closed_set_report": "report",
    },
)
