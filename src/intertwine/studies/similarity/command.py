"""`intertwine similarity`: how alike every pair of spaces is, with intervals and nulls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intertwine.console import options as common

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.studies.similarity.study import SimilarityOptions, SimilarityResult


def similarity(
    feature_set: Annotated[
        list[Path],
        typer.Argument(
            metavar="SET",
            help="Feature set: a folder, several joined by id, or files of moments, one a row group.",
        ),
    ],
    out: common.OutOption,
    control: Annotated[
        list[str] | None, typer.Option(help="A space that is a control; repeatable.")
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(help="A network whose layers are the spaces NETWORK.LAYER; repeatable."),
    ] = None,
    closed_set: Annotated[
        Path | None,
        typer.Option(help="Closed-set report over the same spaces, to compare the measures with."),
    ] = None,
    groups: Annotated[int, typer.Option(help="Row groups of the jackknife, at least 20.")] = 20,
    sample: Annotated[
        int, typer.Option(help="Rows of the sample for the measures on rows; 0 leaves them out.")
    ] = 2000,
    neighbours: Annotated[
        int | None, typer.Option(help="Neighbours k of mutual-neighbour measures; 10 by default.")
    ] = None,
    cca_alpha: Annotated[float, typer.Option(help="Penalty λ of CCA and PWCCA.")] = 0.0,
    variance: Annotated[float, typer.Option(help="Share of variance that SVCCA keeps.")] = 0.99,
    precision: common.PrecisionOption = common.Precision.auto,
    device: Annotated[
        str, typer.Option(help="Where products and measures on rows run: cpu, cuda or cuda:N.")
    ] = "cpu",
    workers: common.WorkersOption = None,
    scheduler: common.SchedulerOption = None,
    json: common.JsonOption = False,
) -> None:
    """Measure how alike every pair of spaces is and write a report.

    Example: intertwine similarity set/ --out alike/
    """
    from intertwine.parallel.workers import open_workers
    from intertwine.studies.similarity.interchangeability import read_swaps
    from intertwine.studies.similarity.study import SimilarityOptions

    options = SimilarityOptions(
        groups=groups,
        sample=sample,
        neighbours=neighbours,
        cca_alpha=cca_alpha,
        variance=variance,
        controls=tuple(control or ()),
        layers=tuple(layers or ()),
    )
    common.hold_report(out, "similarity", feature_set)
    swaps = [] if closed_set is None else read_swaps(closed_set)
    scratch = out / ".moments"
    with common.progress() as progress, open_workers(workers, scheduler) as pool:
        where = {"precision": precision.value, "device": device, "workers": pool}
        compared = {"swaps": swaps, "closed_set": None if closed_set is None else closed_set.name}
        result = _measure(feature_set, scratch, options, where, compared, progress)
    common.deliver(result, out, show=_print, as_json=json, scratch=scratch)


def _measure(
    paths: Sequence[Path],
    scratch: Path,
    options: SimilarityOptions,
    where: dict[str, Any],
    compared: dict[str, Any],
    progress: Callable[[str, int, int], None],
) -> SimilarityResult:
    """Measure a feature set, or files of moments."""
    from intertwine.features.feature_set import FeatureSet
    from intertwine.passes.moments.groups import load_groups
    from intertwine.studies.similarity.study import similarity as study
    from intertwine.studies.similarity.study import similarity_of_moments

    if all(path.is_file() for path in paths):
        names = [path.name for path in paths]
        note = "given as moments: measures on rows, which need the rows themselves, are left out"
        return similarity_of_moments(
            load_groups(paths),
            options=options,
            inputs=names,
            notes=[note],
            progress=progress,
            **compared,
        )
    return study(
        FeatureSet.open(*paths),
        scratch=scratch,
        options=options,
        progress=progress,
        **where,
        **compared,
    )


def _print(result: dict[str, Any]) -> None:
    """Print the headline table: calibrated debiased CKA of every pair."""
    from rich.console import Console

    from intertwine.report.terminal import terminal_matrix

    console = Console()
    common.print_notes(console, result)
    cells = {(row["source"], row["target"]): row for row in result["pairs"]}
    names = [row["space"] for row in result["spaces"]]
    title = f"Debiased linear CKA, calibrated: 0 unrelated, 1 the same; {result['n']:,} rows"
    console.print(
        terminal_matrix(title, "", names, lambda a, b: _cell(cells[a, b]), width=console.width),
        highlight=False,
    )


def _cell(row: dict[str, Any]) -> str:
    value, low, high = (row[f"cka_debiased_calibrated{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "–"
    if row["source"] == row["target"] or low is None:
        return f"{value:.2f}".replace("-", "−")
    return f"{value:.2f}\n{low:.2f} … {high:.2f}".replace("-", "−")
