"""Study results as people read them: HTML, PNG, SVG, CSV, LaTeX and JSON.

Three steps, one folder each: `summarise` turns a result into display text, `draw` that into
figures, `render` both into files. One module a study, such as `closed_set.py`, takes the steps.
"""

from __future__ import annotations

from intertwine.extras import import_extra
from intertwine.report.folder import check_folder
from intertwine.studies.closed_set.report import write_closed_set_report
from intertwine.studies.open_set.report import write_open_set_report
from intertwine.studies.similarity.report import write_similarity_report

__all__ = [
    "check_folder",
    "require_report_extra",
    "write_closed_set_report",
    "write_open_set_report",
    "write_similarity_report",
]


def require_report_extra() -> None:
    """Raise now, before a long study, when what draws its report is not installed.

    Raises
    ------
    MissingExtraError
        With the pip line that installs it.
    """
    for module in ("jinja2", "matplotlib"):
        import_extra(module, "report")
