"""The open-set study's report folder: summarise, draw, render, then write."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from intertwine.report import draw, render
from intertwine.report.render.write import write_page_report
from intertwine.studies.open_set.lookup import OpenSetStudy
from intertwine.studies.open_set.page import summarise_open_set

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from intertwine.studies.open_set.page import OpenSetPage

ENDS = ("", "_low", "_high")
RATES = tuple(
    f"{score}{end}"
    for score in ("eer", "auc", "tar_at_far_1e-2", "tar_at_far_1e-3")
    for end in ENDS
)
ACCURACY = ("accuracy", "std", "ci_low", "ci_high")
CHANGE = tuple(f"percent_change{end}" for end in ENDS)
COLUMNS: dict[str, tuple[str, ...]] = {
    "pairs": (
        "source",
        "target",
        *ACCURACY,
        "identity_accuracy",
        "identity_ci_low",
        "identity_ci_high",
        *RATES,
        "threshold",
        *CHANGE,
        "percent_change_target",
        "loss",
        "alpha",
        "n_fit",
        "reason",
    ),
    "natives": ("space", *ACCURACY, *RATES, "threshold", "dimension", "encoder"),
    "folds": ("source", "target", "fold", "accuracy", "threshold"),
    "curve": (
        "kind",
        "n_fit",
        "rank",
        "source",
        "target",
        "accuracy",
        "std",
        "percent_change",
        "loss",
    ),
    "roc": ("source", "target", "far", "tar"),
}
# What each figure shows.
SAID = {
    "roc": "Genuine pairs accepted over impostors accepted",
    "det": "Genuine pairs refused over impostors accepted",
    "curve": "Change in accuracy over the number of fit rows",
    "rank": "Change in accuracy over the rank of the map",
}


def write_open_set_report(result: Mapping[str, Any], folder: str | os.PathLike[str]) -> Path:
    """Write an open-set study's report folder.

    Parameters
    ----------
    result
        The JSON object of `report.json`; the file itself, read back, gives the same bytes again.
    folder
        Where to write. Files of an earlier report are replaced once all new ones are on disk; its
        figures that this report does not have are removed.

    Returns
    -------
    page
        The path of `report.html`. It is written last: where it is, the rest is too.

    Raises
    ------
    InputError
        When the object is no open-set report or the folder cannot be written.
    MissingExtraError
        When matplotlib or Jinja is not installed.
    """
    study = OpenSetStudy.of(result)
    page = summarise_open_set(study)
    return write_page_report(
        folder,
        study.result,
        page,
        package=__package__,
        plots=_plots(page),
        said=SAID,
        tables=_tables(study, page),
        head={"table": partial(draw.matrix, page.matrix)},
    )


def _plots(page: OpenSetPage) -> dict[str, Callable[..., Figure]]:
    """Return what draws each figure that is defined, given a palette and a width."""
    plots: dict[str, Callable[..., Figure]] = {}
    for name, rates in (("roc", page.roc), ("det", page.det)):
        if rates is not None:
            plots[name] = partial(draw.roc, rates)
    for name, curve in (("curve", page.curve), ("rank", page.rank)):
        if curve is not None:
            plots[name] = partial(draw.curve, curve)
    return plots


def _tables(study: OpenSetStudy, page: OpenSetPage) -> dict[str, str]:
    points = [
        {"source": row["source"], "target": row["target"], "far": far, "tar": tar}
        for row in study.result["roc"]
        for far, tar in zip(row["far"], row["tar"], strict=True)
    ]
    rows = {name: study.result[name] for name in COLUMNS} | {"roc": points}
    files = {f"{name}.csv": render.csv_text(rows[name], COLUMNS[name]) for name in COLUMNS}
    files["table.tex"] = render.latex_table(page.matrix, label="tab:open-set")
    return files
