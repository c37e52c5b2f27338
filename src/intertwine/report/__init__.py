"""Study results as people read them: HTML, PNG, SVG, CSV, LaTeX and JSON.

It knows no study. A study turns its result into a page of display text and shapes (`schema`,
`tables`, `shapes`, `numbers`, `sentences`); `draw` makes figures of the shapes, and `render` writes
page, figures and tables to files.
"""

from __future__ import annotations

from intertwine.errors import MissingExtraError
from intertwine.extras import import_extra
from intertwine.report.folder import check_folder

__all__ = [
    "check_folder",
    "lacks_extra",
]


def lacks_extra() -> str | None:
    """Return what pages and figures lack, with its pip line; None where they can be drawn."""
    try:
        for module in ("jinja2", "matplotlib"):
            import_extra(module, "report")
    except MissingExtraError as error:
        return str(error)
    return None
