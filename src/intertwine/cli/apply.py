"""`intertwine apply`: stream vectors through a map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intertwine.console import options as common
from intertwine.wording import counted


def apply(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="A map that fit wrote.")],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A .npy, .safetensors, .parquet or .arrow file (#NAME: which tensor or column), or "
            "a feature set folder.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT", help="The file to write; its ending decides the format."),
    ],
    dtype: Annotated[
        str | None, typer.Option(help="float16, float32 or float64; the input's when omitted.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Map a bare array even where it looks like another space."),
    ] = False,
    precision: common.PrecisionOption = common.Precision.auto,
    device: common.DeviceOption = "cpu",
    workers: common.WorkersOption = None,
    scheduler: common.SchedulerOption = None,
    json: common.JsonOption = False,
) -> None:
    """Map vectors from one embedding space to another; resumes after a kill.

    Example: intertwine apply maps/a--b.safetensors a.npy mapped.npy
    """
    from intertwine.parallel.workers import open_workers
    from intertwine.passes.apply import apply_file

    _check_precision(precision)
    common.check_device(device)
    with common.progress() as progress, open_workers(workers, scheduler) as pool:
        summary = apply_file(
            map_file,
            source,
            output,
            dtype=dtype,
            force=force,
            device=device,
            workers=pool,
            progress=lambda done, total: progress("mapping", done, total),
        )
    if json:
        common.print_json(summary)
        return
    for note in summary["notes"]:
        common.print_note(note)
    common.print_line(f"{output}: {counted(summary['rows'], 'row')} of {summary['target']['name']}")


def _check_precision(precision: common.Precision) -> None:
    """Raise for a precision that maps are not applied in."""
    if precision not in {common.Precision.auto, common.Precision.float32}:
        from intertwine.errors import InputError

        raise InputError(
            f"got precision {precision.value}, expected auto: vectors are mapped in float32, or in "
            "float64 where they are float64"
        )
