"""How well templates of one network find the same person among those of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.extras import lazy_names

if TYPE_CHECKING:
    from intertwine.studies.linkage.report import write_linkage_report
    from intertwine.studies.linkage.study import LinkageResult, linkage

__all__ = [
    "LinkageResult",
    "linkage",
    "write_linkage_report",
]

__getattr__ = lazy_names(
    __name__,
    {
        "LinkageResult": "study",
        "linkage": "study",
        "write_linkage_report": "report",
    },
)
