"""`intertwine apply`: stream vectors through a map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intertwine.cli import common


def apply(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="A map that fit wrote.")],
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A .npy file, or a feature set folder.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The .npy file to write.")],
    dtype: Annotated[
        str | None, typer.Option(help="float16, float32 or float64; the input's when omitted.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Map a bare array even where it looks like another space."),
    ] = False,
    device: common.DeviceOption = "cpu",
    json: common.JsonOption = False,
) -> None:
    """Map vectors from one embedding space to another; goes on where a killed run stood."""
    from intertwine.passes.apply import apply_file

    common.check_device(device)
    with common.progress() as report:
        summary = apply_file(
            map_file,
            source,
            output,
            dtype=dtype,
            force=force,
            progress=lambda done, total: report("mapping", done, total),
        )
    if json:
        common.print_json(summary)
        return
    for note in summary["notes"]:
        common.say(note)
    print(f"{output}: {summary['rows']} rows of {summary['target']['name']}")
