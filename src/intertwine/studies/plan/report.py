"""The plan study's report folder: summarise, draw, render, then write."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from intertwine.report import render
from intertwine.report.draw.rate_panels import rate_panels
from intertwine.report.render.latex import latex_rows
from intertwine.report.render.write import write_page_report
from intertwine.studies.plan.draw_options import options
from intertwine.studies.plan.lookup import PlanStudy
from intertwine.studies.plan.page import summarise_plan

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from intertwine.studies.plan.page import PlanPage

PAIR = ("source", "target")
OPTION = (*PAIR, "option")
RECALL = ("recall_at_10", "ci_low", "ci_high")
SCORES = (
    *RECALL,
    *(f"{score}{end}" for score in ("ndcg", "precision") for end in ("_at_10", "_low", "_high")),
)
QUALITY = ("quality", "quality_low", "quality_high")
NDCG = ("ndcg_at_10", "ndcg_low", "ndcg_high")
COLUMNS: dict[str, tuple[str, ...]] = {
    "pairs": (*OPTION, "fit", "n_pairs", *SCORES, *QUALITY, "reason"),
    "baselines": (*OPTION, "n_pairs", *SCORES, *QUALITY, "reason"),
    "curve": (*OPTION, "n_pairs", *RECALL, *NDCG, *QUALITY),
    "candidates": (*PAIR, "method", "alpha", "recall_at_10", "mean_cosine", "chosen"),
    "rerank": (*PAIR, "depth", *RECALL),
    "backfill": (*PAIR, "share", *RECALL),
    "thresholds": (*PAIR, "share", "native", "converted", "bridged"),
    "calibration": (*OPTION, "slope", "intercept", "r2"),
    "gallery": (*OPTION, "n_items", "recall_at_10"),
    "domain": (*PAIR, "of", "under", "ratio", "shift"),
}
# What each figure shows.
SAID = {
    "options": "Every option on one axis",
    "curve": "What is found over the number of pairs",
    "repair": "Recall over the depth of re-ranking and the share re-embedded",
    "gallery": "Recall over the number of items in the gallery",
}


def write_plan_report(result: Mapping[str, Any], folder: str | os.PathLike[str]) -> Path:
    """Write a plan study's report folder.

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
        When the object is no plan report or the folder cannot be written.
    MissingExtraError
        When matplotlib or Jinja is not installed.
    """
    study = PlanStudy.of(result)
    page = summarise_plan(study)
    return write_page_report(
        folder,
        study.result,
        page,
        package=__package__,
        plots=_plots(page),
        said=SAID,
        tables=_tables(study, page),
    )


def _plots(page: PlanPage) -> dict[str, Callable[..., Figure]]:
    """Return what draws each figure that is defined, given a palette and a width."""
    plots: dict[str, Callable[..., Figure]] = {}
    if page.options[0].dots:
        plots["options"] = partial(options, page.options)
    panels = {"curve": page.curve, "repair": page.repair, "gallery": page.gallery}
    return plots | {name: partial(rate_panels, found) for name, found in panels.items() if found}


def _tables(study: PlanStudy, page: PlanPage) -> dict[str, str]:
    files = {
        f"{name}.csv": render.csv_text(study.rows(name), columns)
        for name, columns in COLUMNS.items()
    }
    caption = f"{page.title}. {page.lede}"
    files["table.tex"] = latex_rows(page.tables["options"], caption=caption, label="tab:plan")
    return files
