"""`intertwine fit`: maps for one pair of spaces, or for all ordered pairs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from intertwine.console import options as common


def fit(
    feature_set: Annotated[
        list[Path],
        typer.Argument(
            metavar="SET", help="Feature set: a folder, several joined by id, or moments."
        ),
    ],
    out: common.OutOption,
    source: Annotated[str | None, typer.Option(help="Source space; all when omitted.")] = None,
    target: Annotated[str | None, typer.Option(help="Target space; all when omitted.")] = None,
    method: common.MethodOption = common.Method.ridge,
    alpha: common.AlphaOption = "1.0",
    intercept: common.InterceptOption = common.Intercept.free,
    rank: common.RankOption = None,
    alphas: common.AlphasOption = None,
    scale: common.ScaleOption = False,
    prior: common.PriorOption = None,
    unpaired: Annotated[
        list[Path] | None,
        typer.Option(
            help="Feature set of further rows, of one space or several, that belong to no known pair: "
            "self-training learns from them too where that helps; repeatable."
        ),
    ] = None,
    precision: common.PrecisionOption = common.Precision.auto,
    fast_error: common.FastErrorOption = common.FAST_ERROR,
    device: common.DeviceOption = "cpu",
    workers: common.WorkersOption = None,
    scheduler: common.SchedulerOption = None,
    checkpoint: common.CheckpointOption = common.CHECKPOINT_SECONDS,
    json: common.JsonOption = False,
) -> None:
    """Fit maps and write OUT/SOURCE--TARGET.safetensors; resumes after a kill.

    Example: intertwine fit set/ --out maps/ --alpha gcv
    """
    from intertwine.maps.linear_map import facts_of
    from intertwine.parallel.workers import open_workers
    from intertwine.passes.fit import fit_to_files

    options = common.fit_options(
        method, alpha, intercept, rank, alphas=alphas, scale=scale, prior=prior
    )
    if unpaired:
        options = replace(options, method="self-training", refit=options.method)
    products = common.products(precision, device, fast_error)
    with common.progress() as progress, open_workers(workers, scheduler) as pool:
        summary = fit_to_files(
            feature_set,
            out,
            options=options,
            source=source,
            target=target,
            products=products,
            workers=pool,
            every=checkpoint,
            progress=progress,
            unpaired=unpaired or (),
        )
    if json:
        common.print_json(summary)
        return
    common.print_summary_notes(summary)
    for entry in summary["maps"]:
        if sys.stderr.isatty():
            facts = {**entry["info"], **{key: entry[key] for key in ("r2", "r2_null", "n")}}
            unknown = [f"no R² held out: {entry['reason']}"] if entry["reason"] else []
            line = ", ".join([*facts_of(facts), *unknown])
            common.print_note(f"{entry['source']} → {entry['target']}: {line}")
        for note in entry["info"].get("notes", []):
            common.print_note(f"{entry['source']} → {entry['target']}: {note}")
        common.print_line(entry["path"])
