"""Study results as people read them: HTML, PNG, SVG, CSV, LaTeX and JSON.

Three steps, one folder each: `summarise` turns a result into display text, `draw` that into
figures, `render` both into files. One module a study, such as `closed_set.py`, takes the steps.
"""

from __future__ import annotations

from intertwine.report.closed_set import write_closed_set_report

__all__ = ["write_closed_set_report"]
