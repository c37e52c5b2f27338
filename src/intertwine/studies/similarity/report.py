"""The similarity study's report folder: summarise, draw, render, then write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.report import draw, render
from intertwine.report.folder import write_folder
from intertwine.report.render.write import figure_files, figure_names
from intertwine.similarity.measures import MEASURES
from intertwine.storage.files import json_bytes, text_bytes
from intertwine.studies.similarity.lookup import SimilarityStudy
from intertwine.studies.similarity.page import summarise_similarity

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from intertwine.studies.similarity.page import SimilarityPage

ENDS = ("", "_low", "_high", "_null", "_calibrated", "_calibrated_low", "_calibrated_high")
COLUMNS: dict[str, tuple[str, ...]] = {
    "spaces": (
        "space",
        "network",
        "layer",
        "control",
        "dimension",
        "rank",
        "participation_ratio",
        "kept",
        "encoder",
    ),
    "measures": (
        "name",
        "title",
        "kind",
        "symmetric",
        "low",
        "high",
        "best",
        "larger_is_more_similar",
        "ignores",
        "formula",
        "interval",
        "null_model",
        "source",
    ),
    "layers": (
        "source_network",
        "target_network",
        "source_layer",
        "best_layer",
        "cka_debiased",
        "cka_debiased_low",
        "cka_debiased_high",
    ),
    "interchangeability": (
        "measure",
        "n_pairs",
        "n_networks",
        "spearman",
        "ci_low",
        "ci_high",
        "p_value",
        "reason",
    ),
    "spectra": ("source", "target", "index", "rho"),
}
FIGURES = ("dendrogram", "map", "swaps")


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
        The path of `report.html`. It is written last: where it is, the rest is too.

    Raises
    ------
    InputError
        When the object is no similarity report or the folder cannot be written.
    MissingExtraError
        When matplotlib or Jinja is not installed.
    """
    study = SimilarityStudy.of(result)
    page = summarise_similarity(study)
    plots = _plots(page)
    inline = {name: _inline(name, plot, page) for name, plot in plots.items()}
    absent: dict[str, dict[str, str]] = {name: {} for name in FIGURES}
    html = render.html_page(__package__, page, absent | inline)
    files = {
        "report.json": json_bytes(study.result),
        **_heatmaps(page),
        **figure_files(plots),
        **_tables(study, page),
        "report.html": text_bytes(html),
    }
    return write_folder(folder, files, optional=_optional())


def _plots(page: SimilarityPage) -> dict[str, Callable[..., Figure]]:
    """Return what draws each figure that is defined, given a palette and a width."""
    plots: dict[str, Callable[..., Figure]] = {}
    if tree := page.tree:
        plots["dendrogram"] = lambda *args, **options: draw.dendrogram(tree, *args, **options)
    if plane := page.plane:
        plots["map"] = lambda *args, **options: draw.plane(plane, *args, **options)
    if swaps := page.swaps:
        plots["swaps"] = lambda *args, **options: draw.scatter(swaps, *args, **options)
    return plots


def _inline(name: str, plot: Callable[..., Figure], page: SimilarityPage) -> dict[str, str]:
    said = {
        "dendrogram": f"A tree of the spaces. {page.lede}",
        "map": f"A map of the spaces. {page.lede}",
        "swaps": f"Similarity against change in accuracy. {page.facts['prediction']}",
    }
    return draw.for_both_widths(plot, prefix=name, label=said[name])


def _heatmaps(page: SimilarityPage) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for heatmap in page.heatmaps:
        figure = draw.matrix(heatmap.matrix)
        png = files[f"heatmap-{heatmap.name}.png"] = draw.to_png(figure)
        if heatmap.headline:
            files |= {"similarity.svg": text_bytes(draw.to_svg(figure)), "similarity.png": png}
    return files


def _tables(study: SimilarityStudy, page: SimilarityPage) -> dict[str, bytes]:
    result = study.result
    scores = [f"{measure['name']}{end}" for measure in study.measures for end in ENDS]
    pairs = [
        {key: value for key, value in row.items() if key != "reasons"} for row in result["pairs"]
    ]
    measures = [
        {key: value for key, value in row.items() if key != "range"}
        | dict(zip(("low", "high"), row["range"], strict=True))
        for row in result["measures"]
    ]
    spectra = [
        {"source": row["source"], "target": row["target"], "index": i, "rho": rho}
        for row in result["spectra"]
        for i, rho in enumerate(row["rho"], 1)
    ]
    rows = {name: result.get(name) for name in COLUMNS} | {
        "measures": measures,
        "spectra": spectra,
    }
    files = {f"{name}.csv": render.csv_text(rows[name], COLUMNS[name]) for name in COLUMNS}
    order = ("source", "target", *scores, "alpha", "control", "reason")
    files["pairs.csv"] = render.csv_text(pairs, order)
    files["similarity.tex"] = render.latex_table(page.matrix, label="tab:similarity")
    return {name: text_bytes(text) for name, text in files.items()}


def _optional() -> list[str]:
    """Return the figures that a report may have or not."""
    return [*figure_names(FIGURES), *(f"heatmap-{measure}.png" for measure in MEASURES)]
