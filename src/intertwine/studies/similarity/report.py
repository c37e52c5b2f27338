"""The similarity study's report folder."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from intertwine.report import draw
from intertwine.report.render import write_report
from intertwine.similarity.measures import MEASURES
from intertwine.studies.similarity.lookup import SimilarityStudy
from intertwine.studies.similarity.page import summarise_similarity

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from intertwine.report.shapes import Matrix


def write_similarity_report(result: Mapping[str, Any], folder: str | os.PathLike[str]) -> Path:
    """Write a similarity study's report folder.

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
        When the object is no similarity report or the folder cannot be written.
    """
    study = SimilarityStudy.of(result)
    page = summarise_similarity(study)
    return write_report(
        study,
        page,
        folder,
        name="similarity",
        drawn={
            f"heatmap-{heatmap.name}.png": partial(_heatmap, heatmap.matrix)
            for heatmap in page.more["heatmaps"]
        },
        optional=[f"heatmap-{measure}.png" for measure in MEASURES],
    )


def _heatmap(matrix: Matrix) -> bytes:
    """Return a heatmap as a PNG file."""
    return draw.to_png(draw.matrix(matrix))
