"""A study's report as files: the page, figures, tables and the object itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from intertwine.report import draw, lacks_extra
from intertwine.report.folder import PAGE, write_folder
from intertwine.report.render.csv_text import csv_text
from intertwine.report.render.latex import latex_table
from intertwine.report.render.page import html_page
from intertwine.storage.files import json_bytes, text_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from intertwine.report.page import Page
    from intertwine.report.schema import Report

KINDS = ("svg", "png")


def plots(page: Page, main: str = "table") -> dict[str, Callable[..., Figure]]:
    """Return what draws each figure that is defined, the main one first; `main` is its name."""
    matrix = {} if page.matrix is None else {main: partial(draw.matrix, page.matrix)}
    charts = {
        name: partial(chart.draw, chart.content)
        for name, chart in page.charts.items()
        if chart.content
    }
    return {**matrix, **charts}


def figure_files(plots: Mapping[str, Callable[..., Figure]]) -> dict[str, bytes]:
    """Return each figure as NAME.svg and NAME.png; plots draw them, by name."""
    files: dict[str, bytes] = {}
    for name, plot in plots.items():
        figure = plot()
        files |= {
            f"{name}.svg": text_bytes(draw.to_svg(figure)),
            f"{name}.png": draw.to_png(figure),
        }
    return files


def figure_names(figures: Iterable[str]) -> list[str]:
    """Return the names of the files that `figure_files` makes of figures."""
    return [f"{name}.{kind}" for name in figures for kind in KINDS]


def write_report(
    study: Report,
    page: Page,
    folder: str | os.PathLike[str],
    *,
    name: str = "table",
    latex: str | None = None,
    drawn: Mapping[str, Callable[[], bytes]] | None = None,
    optional: Iterable[str] = (),
) -> Path:
    """Write a study's report folder and return the path of its page.

    The main figure and the LaTeX table are files called `name`; `latex` is the table where it is
    not the main figure. `drawn` are further figures, and `optional` names of files that a report of
    this study may have or not. Where the extra is not installed that draws, tables and the object
    are the whole report, and the path is that of `report.json`.
    """
    files = {
        f"{table.name}.csv": text_bytes(csv_text(study.flat(table.name), table.columns))
        for table in study.files
    }
    whole = {"report.json": json_bytes(study.result)}
    figures = figure_names([name, *page.charts])
    if lacks_extra():
        optional = [*figures, f"{name}.tex", *(drawn or {}), *optional]
        return write_folder(folder, {**files, **whole}, optional=optional)
    pictures, html, table = _draw(study, page, name, latex)
    if table is not None:
        files[f"{name}.tex"] = text_bytes(table)
    files = {
        **whole,
        **pictures,
        **{file: draw_it() for file, draw_it in (drawn or {}).items()},
        **files,
        PAGE: text_bytes(html),
    }
    return write_folder(folder, files, optional=[*figure_names(page.charts), *optional])


def _draw(
    study: Report, page: Page, name: str, latex: str | None
) -> tuple[dict[str, bytes], str, str | None]:
    """Return the figures' files, the page, and the LaTeX table where there is one."""
    inline: dict[str, dict[str, str]] = {}
    for chart_name, chart in page.charts.items():
        inline[chart_name] = {}
        if chart.content:
            plot = partial(chart.draw, chart.content)
            label = f"{chart.label}. {chart.finding or page.lede}"
            inline[chart_name] = draw.for_both_widths(plot, prefix=chart_name, label=label)
    html = html_page(type(study).__module__.rpartition(".")[0], page, inline)
    if page.matrix is not None:
        latex = latex or latex_table(page.matrix, label=f"tab:{study.study}")
    return figure_files(plots(page, name)), html, latex
