"""What every report folder shares: one study a folder, figures as files, nothing older left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intertwine.errors import FileFormatError, InputError
from intertwine.report import draw, render
from intertwine.storage.files import json_bytes, read_json, require_outside, text_bytes, write_files

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

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


def check_folder(
    folder: str | os.PathLike[str], study: str, inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Raise now, before long work, when a folder is not free for a study's report.

    Parameters
    ----------
    folder
        Where the report is to go.
    study
        Whose; an earlier report of the same study is replaced.
    inputs
        Folders that the study reads.

    Raises
    ------
    InputError
        When it holds another study's report, or a `report.json` of something else, or is or lies in
        an input.
    """
    place = Path(folder).resolve()
    require_outside(folder, *inputs)
    held = _study_in(place / "report.json")
    if held not in {None, study}:
        article = "an" if str(held)[0] in "aeiou" else "a"
        raise InputError(f"{folder} holds {article} {held} report; give another --out")


def _study_in(report: Path) -> str | None:
    """Return the study whose report a file is, None where there is no file."""
    if not report.exists():
        return None
    try:
        study = read_json(report)["study"]
    except (FileFormatError, KeyError, TypeError, IndexError):
        study = None
    if not isinstance(study, str) or not study:
        raise InputError(
            f"{report}: is no report of a study; give another --out, or move the file away"
        )
    return study


def write_folder(
    folder: str | os.PathLike[str], files: dict[str, bytes], *, optional: Iterable[str] = ()
) -> Path:
    """Write a report's files, then remove those of an earlier report that would contradict them.

    Parameters
    ----------
    folder
        Where to write.
    files
        By name, `report.html` last: where it is, the rest is too.
    optional
        Files that a report of this study may have or not; those absent now are removed.

    Returns
    -------
    page
        The path of `report.html`.

    Raises
    ------
    InputError
        When the folder cannot be written, or `check_folder` says that it is not free.
    """
    check_folder(folder, json.loads(files["report.json"])["study"])
    write_files(folder, files)
    for name in optional:
        if name not in files:
            (Path(folder) / name).unlink(missing_ok=True)
    return Path(folder) / "report.html"


def write_report(
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
    html = render.html_page(package, page, inline)
    files = {
        "report.json": json_bytes(result),
        **figure_files({**(head or {}), **plots}),
        **{name: text_bytes(text) for name, text in tables.items()},
        "report.html": text_bytes(html),
    }
    return write_folder(folder, files, optional=figure_names(said))
