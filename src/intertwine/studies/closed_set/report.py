"""The closed-set study's report folder: summarise, draw, render, then write."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from intertwine.report import draw, render
from intertwine.report.folder import write_folder
from intertwine.report.render.write import figure_files
from intertwine.storage.files import json_bytes, text_bytes
from intertwine.studies.closed_set.lookup import Study
from intertwine.studies.closed_set.page import summarise_closed_set

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from intertwine.studies.closed_set.page import ClosedSetPage

INTERVAL = ("ci_low", "ci_high")
COLUMNS: dict[str, tuple[str, ...]] = {
    "pairs": (
        "source",
        "target",
        "accuracy",
        "top5",
        "percent_change",
        *INTERVAL,
        "percent_change_target",
        "agreement",
        "r2",
        "alpha",
        "alpha_min",
        "alpha_max",
        "control",
        "reason",
    ),
    "natives": (
        "space",
        "control",
        "accuracy",
        *INTERVAL,
        "top5",
        "reported_top1",
        "paper_top1",
        "crop",
        "dimension",
        "parameters",
        "encoder",
    ),
    "analytic": (
        "source",
        "target",
        "form",
        "accuracy",
        "percent_change",
        "differing",
        "rank",
        "classes",
    ),
    "baselines": (
        "baseline",
        "source",
        "target",
        "accuracy",
        "percent_change",
        *INTERVAL,
        "agreement",
        "reason",
    ),
    "contrast": (
        "source",
        "target",
        "kind",
        "native_accuracy",
        "analytic_accuracy",
        "analytic_differing",
        "fitted_accuracy",
        *INTERVAL,
        "chance",
    ),
    "curve": (
        "n_fit",
        "classes_covered",
        "source",
        "target",
        "accuracy",
        "percent_change",
        *INTERVAL,
        "alpha",
    ),
}


def write_closed_set_report(result: Mapping[str, Any], folder: str | os.PathLike[str]) -> Path:
    """Write a closed-set study's report folder.

    Parameters
    ----------
    result
        The JSON object of `report.json`; the file itself, read back, gives the same bytes again.
    folder
        Where to write. Files of an earlier report are replaced once all new ones are on disk.

    Returns
    -------
    page
        The path of `report.html`. It is written last: where it is, the rest is too.

    Raises
    ------
    InputError
        When the object is no closed-set report or the folder cannot be written.
    MissingExtraError
        When matplotlib or Jinja is not installed.
    """
    study = Study.of(result)
    page = summarise_closed_set(study)
    html = render.html_page(__package__, page, {"curve": _inline_curve(page)})
    files = {
        "report.json": json_bytes(study.result),
        **figure_files(
            {"table": partial(draw.matrix, page.matrix), "curve": partial(draw.curve, page.curve)}
        ),
        **_tables(study, page),
        "report.html": text_bytes(html),
    }
    return write_folder(folder, files)


def _inline_curve(page: ClosedSetPage) -> dict[str, str]:
    label = f"{page.curve.y_title}, over {page.curve.x_title}. {page.lede}"
    return draw.for_both_widths(partial(draw.curve, page.curve), prefix="curve", label=label)


def _tables(study: Study, page: ClosedSetPage) -> dict[str, bytes]:
    files = {
        f"{name}.csv": text_bytes(render.csv_text(study.result[name], columns))
        for name, columns in COLUMNS.items()
    }
    latex = render.latex_table(page.matrix, label="tab:closed-set")
    return {**files, "table.tex": text_bytes(latex)}
