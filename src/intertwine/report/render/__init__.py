"""Display shapes and figures in, the text of files out; `write_report` writes a whole folder."""

from __future__ import annotations

from intertwine.report.render.csv_text import csv_text
from intertwine.report.render.latex import latex_rows, latex_table
from intertwine.report.render.page import html_page
from intertwine.report.render.write import plots, write_report

__all__ = ["csv_text", "html_page", "latex_rows", "latex_table", "plots", "write_report"]
