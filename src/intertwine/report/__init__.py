"""Study results as people read them: HTML, PNG, SVG, CSV, LaTeX and JSON.

Three steps, one folder each: `summarise` turns a result into display text, `draw` that into
figures, `render` both into files. One module a study, such as `closed_set.py`, takes the steps.
"""

from __future__ import annotations

from intertwine.extras import import_extra
from intertwine.report.folder import check_folder

__all__ = [
    "check_folder",
    "require_report_extra",
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
