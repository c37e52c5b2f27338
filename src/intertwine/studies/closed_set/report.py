"""The closed-set study's report folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.report.render import write_report
from intertwine.studies.closed_set.lookup import ClosedSetStudy
from intertwine.studies.closed_set.page import summarise_closed_set

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path


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
        The path of `report.html`. It is written last: where it is, the rest is too. Without the
        extra `report` it is that of `report.json`, which is written with the tables alone.

    Raises
    ------
    InputError
        When the object is no closed-set report or the folder cannot be written.
    """
    study = ClosedSetStudy.of(result)
    return write_report(study, summarise_closed_set(study), folder)
