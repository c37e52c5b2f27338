"""`intertwine closed-set`: every network's features in every other network's classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from intertwine.console import options as common
from intertwine.wording import counted


def closed_set(
    fit: Annotated[
        list[Path], typer.Option("--fit", help="Feature set to fit on; repeat to join folders.")
    ],
    evaluation: Annotated[
        list[Path], typer.Option("--eval", help="Feature set to score on, with labels; repeatable.")
    ],
    out: common.OutOption,
    control: Annotated[
        list[str] | None, typer.Option(help="A space that is a control; repeatable.")
    ] = None,
    control_random: Annotated[
        list[str] | None,
        typer.Option(
            help="Add an untrained copy of this space's encoder as a control; repeatable."
        ),
    ] = None,
    allow_overlap: Annotated[
        bool,
        typer.Option(
            "--allow-overlap",
            help="Also score rows that maps were fitted on; a warning says how many.",
        ),
    ] = False,
    method: common.MethodOption = common.Method.ridge,
    alpha: common.AlphaOption = "1.0",
    intercept: common.InterceptOption = common.Intercept.free,
    rank: common.RankOption = None,
    alphas: common.AlphasOption = None,
    scale: common.ScaleOption = False,
    prior: common.PriorOption = None,
    curve_points: Annotated[
        int, typer.Option(min=1, help="Points of the curve over the number of fit rows.")
    ] = 10,
    precision: common.PrecisionOption = common.Precision.auto,
    device: common.DeviceOption = "cpu",
    workers: common.WorkersOption = None,
    scheduler: common.SchedulerOption = None,
    json: common.JsonOption = False,
) -> None:
    """Score every ordered pair of networks and write a report.

    Example: intertwine closed-set --fit fit/ --eval eval/ --out report/ --alpha gcv
    """
    from intertwine.features.feature_set import FeatureSet
    from intertwine.parallel.workers import open_workers
    from intertwine.studies.closed_set.controls import with_random_controls
    from intertwine.studies.closed_set.study import closed_set as study

    options = common.fit_options(
        method, alpha, intercept, rank, alphas=alphas, scale=scale, prior=prior
    )
    common.check_device(device, precision)
    common.hold_report(out, "closed-set", [*fit, *evaluation])
    controls = list(control or [])
    with common.progress() as progress, open_workers(workers, scheduler) as pool:
        if control_random:
            fit, evaluation, made = with_random_controls(
                fit, evaluation, control_random, out / "controls", progress=progress
            )
            controls += made
        result = study(
            FeatureSet.open(*fit),
            FeatureSet.open(*evaluation),
            options=options,
            controls=controls,
            allow_overlap=allow_overlap,
            precision=precision.value,
            device=device,
            workers=pool,
            curve_points=curve_points,
            progress=progress,
        )
    common.deliver(result, out, show=print_closed_set, as_json=json)


def print_closed_set(result: dict[str, Any]) -> None:
    """Print the main table and the headline numbers of a closed-set result."""
    from intertwine.report.terminal import terminal_matrix

    console = Console()
    common.print_notes(console, result)
    cells = {(row["source"], row["target"]): row for row in result["pairs"]}
    names = list(dict.fromkeys(row["source"] for row in result["pairs"]))
    title = (
        f"Top-1 accuracy (%) of row's features in column's classifier; "
        f"{counted(result['n_fit'], 'fit row')}, {counted(result['n_eval'], 'evaluation row')}"
    )
    console.print(
        terminal_matrix(
            title,
            "features ↓ head →",
            names,
            lambda a, b: _cell(cells[a, b], result),
            width=console.width,
        ),
        highlight=False,
    )
    overlap = result["overlap"]
    seen = f"{overlap} of {result['n_eval']} rows scored were fitted on: " if overlap else ""
    console.print(
        f"{seen}percent change against the source's own accuracy: median "
        f"{percent(result['median_percent_change'])}, worst "
        f"{percent(result['worst_percent_change'])} over non-control pairs{_paper(result)}; "
        f"chance {100 * result['chance']:.2g} %",
        soft_wrap=True,
        highlight=False,
    )


def _paper(result: dict[str, Any]) -> str:
    """Return the paper's figures, where the report holds them: the study is the paper's."""
    paper = result["paper"]
    if not paper:
        return ""
    middle, worst = paper["median_percent_change"], paper["worst_percent_change"]
    figures = f"{middle:.2f}, {worst:.1f}".replace("-", "−")
    return f" (paper: {figures} with {paper['n_fit']:,} fit rows)"


def percent(value: float | None) -> str:
    """Return a signed percentage with a true minus, or an en dash where undefined."""
    return "–" if value is None else f"{value:+.2f} %".replace("-", "−")


def _cell(row: dict[str, Any], result: dict[str, Any]) -> Text:
    accuracy = f"{100 * row['accuracy']:.1f}"
    if row["source"] == row["target"]:
        return Text(f"{accuracy}\nnative", style="bold")
    if row["source"] in result["controls"]:
        # A change against an untrained network's accuracy, which is chance, would mean nothing.
        return Text(accuracy, style="dim")
    if row["target"] in result["controls"]:
        return Text(f"{accuracy}\n{percent(row['percent_change'])}", style="dim")
    change = row["percent_change"]
    style = (
        "" if change is None else "green" if change >= 0 else "red" if change < -10 else "yellow"
    )
    return Text(f"{accuracy}\n{percent(change)}", style=style)
