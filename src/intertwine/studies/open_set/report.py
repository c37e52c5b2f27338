"""The open-set study's report folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.report.render import write_report
from intertwine.studies.open_set.lookup import OpenSetStudy
from intertwine.studies.open_set.page import summarise_open_set

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path


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
        The path of `report.html`. It is written last: where it is, the rest is too. Without the
        extra `report` it is that of `report.json`, which is written with the tables alone.

    Raises
    ------
    InputError
        When the object is no open-set report or the folder cannot be written.
    """
    study = OpenSetStudy.of(result)
    return write_report(study, summarise_open_set(study), folder)
