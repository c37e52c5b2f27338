"""A study's report as files: the page, figures, tables and the object itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.report import draw
from intertwine.report.folder import write_folder
from intertwine.report.render.page import html_page
from intertwine.storage.files import json_bytes, text_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

KINDS = ("svg", "png")


def figure_files(plots: Mapping[str, Callable[..., Figure]]) -> dict[str, bytes]:
    """Return each figure as NAME.svg and NAME.png.

    Parameters
    ----------
    plots
        What draws each figure, by name.
    """
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


def write_page_report(
    folder: str | os.PathLike[str],
    result: Mapping[str, Any],
    page: Any,
    *,
    package: str,
    plots: Mapping[str, Callable[..., Figure]],
    said: Mapping[str, str],
    tables: Mapping[str, str],
    head: Mapping[str, Callable[..., Figure]] | None = None,
) -> Path:
    """Write the report of a study whose page may show some figures or not.

    Parameters
    ----------
    folder
        Where to write.
    result
        The study's JSON object.
    page
        What the page shows.
    package
        The study's, which holds the page's template.
    plots
        What draws each figure that is defined, by name, given a palette and a width.
    said
        What each figure shows, defined or not.
    tables
        Text files by name.
    head
        Figures that are files of their own and do not stand on the page.

    Returns
    -------
    page
        The path of `report.html`.

    Raises
    ------
    InputError
        When the folder cannot be written.
    """
    inline: dict[str, dict[str, str]] = {name: {} for name in said}
    for name, plot in plots.items():
        label = f"{said[name]}. {page.lede}"
        inline[name] = draw.for_both_widths(plot, prefix=name, label=label)
    html = html_page(package, page, inline)
    files = {
        "report.json": json_bytes(result),
        **figure_files({**(head or {}), **plots}),
        **{name: text_bytes(text) for name, text in tables.items()},
        "report.html": text_bytes(html),
    }
    return write_folder(folder, files, optional=figure_names(said))
