"""`intertwine closed-set`: every network's features in every other network's classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intertwine.cli import common


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
        typer.Option(help="Make an untrained control of this space's encoder; repeatable."),
    ] = None,
    allow_overlap: Annotated[
        bool,
        typer.Option("--allow-overlap", help="Score rows that were fitted on too; says so first."),
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
    """Score every ordered pair of networks and write a report."""
    from intertwine.cli.table import deliver
    from intertwine.features.feature_set import FeatureSet
    from intertwine.files import check_writable
    from intertwine.passes.control import with_random_controls
    from intertwine.passes.workers import open_workers
    from intertwine.report import check_folder, require_report_extra
    from intertwine.studies.closed_set import closed_set as study

    options = common.fit_options(
        method, alpha, intercept, rank, alphas=alphas, scale=scale, prior=prior
    )
    common.check_device(device, precision)
    check_folder(out, "closed-set", [*fit, *evaluation])
    check_writable(out)
    common.hold(out)
    require_report_extra()
    controls = list(control or [])
    with common.progress() as report, open_workers(workers, scheduler) as pool:
        if control_random:
            fit, evaluation, made = with_random_controls(
                fit, evaluation, control_random, out / "controls", say=report
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
            say=report,
        ).to_json()
    deliver(result, out, as_json=json)
