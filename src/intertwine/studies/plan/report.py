"""The plan study's report folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.report.render import latex_rows, write_report
from intertwine.studies.plan.lookup import PlanStudy
from intertwine.studies.plan.page import summarise_plan

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path


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
        The path of `report.html`. It is written last: where it is, the rest is too. Without the
        extra `report` it is that of `report.json`, which is written with the tables alone.

    Raises
    ------
    InputError
        When the object is no plan report or the folder cannot be written.
    """
    study = PlanStudy.of(result)
    page = summarise_plan(study)
    caption = f"{page.title}. {page.lede}"
    latex = latex_rows(page.tables["options"], caption=caption, label="tab:plan")
    return write_report(study, page, folder, latex=latex)
