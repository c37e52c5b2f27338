"""The third step: display shapes and figures in, the text of files out."""

from __future__ import annotations

from intertwine.report.render.csv_text import csv_text
from intertwine.report.render.latex import latex_table
from intertwine.report.render.page import html_page

__all__ = ["csv_text", "html_page", "latex_table"]
