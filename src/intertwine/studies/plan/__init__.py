"""Whether and how a vector store should be migrated, forecast from pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.extras import lazy_names

if TYPE_CHECKING:
    from intertwine.studies.plan.options import PlanOptions
    from intertwine.studies.plan.report import write_plan_report
    from intertwine.studies.plan.study import PlanResult, plan

__all__ = [
    "PlanOptions",
    "PlanResult",
    "plan",
    "write_plan_report",
]

__getattr__ = lazy_names(
    __name__,
    {
        "PlanOptions": "options",
        "PlanResult": "study",
        "plan": "study",
        "write_plan_report": "report",
    },
)
