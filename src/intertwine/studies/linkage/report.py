"""The linkage study's report folder: summarise, draw, render, then write."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from intertwine.report import draw, render
from intertwine.report.draw.rate_panels import rate_panels
from intertwine.report.render.write import write_page_report
from intertwine.studies.linkage.lookup import TPIR, LinkageStudy
from intertwine.studies.linkage.page import summarise_linkage

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from intertwine.studies.linkage.page import LinkagePage

ENDS = ("", "_low", "_high")
SCORES = ("rank1", "rank5", "rank10", TPIR, "d_sys", "d_sys_chance", "chance")
CONDITION = ("source", "target", "condition", "known_pairs")
COLUMNS: dict[str, tuple[str, ...]] = {
    "pairs": (
        *CONDITION,
        *(f"{score}{end}" for score in SCORES for end in ENDS),
        f"{TPIR}_chance",
        "n_gallery",
        "n_templates",
        "n_probes",
        "n_people",
        "n_impostors",
        "reason",
    ),
    "cmc": (*CONDITION, "rank", "rate", "chance"),
    "linkable": ("source", "target", "above_chance_from", "half_of_native_from", "reason"),
}
# What each figure shows.
SAID = {
    "known": "Linkage over the number of known pairs",
    "cmc": "Share of probes found over rank",
}


def write_linkage_report(result: Mapping[str, Any], folder: str | os.PathLike[str]) -> Path:
    """Write a linkage study's report folder.

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
        When the object is no linkage report or the folder cannot be written.
    MissingExtraError
        When matplotlib or Jinja is not installed.
    """
    study = LinkageStudy.of(result)
    page = summarise_linkage(study)
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


def _plots(page: LinkagePage) -> dict[str, Callable[..., Figure]]:
    """Return what draws each figure that is defined, given a palette and a width."""
    panels = {"known": page.known, "cmc": page.cmc}
    return {name: partial(rate_panels, found) for name, found in panels.items() if found}


def _tables(study: LinkageStudy, page: LinkagePage) -> dict[str, str]:
    files = {
        f"{name}.csv": render.csv_text(study.result[name], columns)
        for name, columns in COLUMNS.items()
    }
    files["table.tex"] = render.latex_table(page.matrix, label="tab:linkage")
    return files
