"""`intertwine extract`: images through encoders into a feature set, in one decoding pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intertwine.cli import common


def extract(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Folder of images, or a `file label` manifest.")
    ],
    out: common.OutOption,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Encoder URI, such as onnx:net.onnx?channels=bgr; repeatable."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="A named set of encoders; `intertwine encoders` lists them.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Folder of the preset's weight files; else INTERTWINE_WEIGHTS."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a batch.")] = 32,
    dtype: Annotated[str, typer.Option(help="float16 or float32 on disk.")] = "float16",
    rows: Annotated[
        str | None, typer.Option(metavar="A:B", help="Take rows A to B−1 of the input only.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding threads.")] = None,
    json: common.JsonOption = False,
) -> None:
    """Extract features and heads; the same command goes on after a kill."""
    from intertwine.encoders.presets import preset_uris
    from intertwine.passes.extract import extract as run

    if not preset and not encoder:
        raise typer.BadParameter("give --encoder URI or --preset NAME")
    uris = [*(preset_uris(preset, weights) if preset else ()), *(encoder or ())]
    with common.progress() as report:
        summary = run(
            source,
            uris,
            out,
            batch_size=batch_size,
            dtype=dtype,
            rows=None if rows is None else common.row_range(rows),
            workers=workers,
            progress=lambda done, total: report("extracting", done, total),
        )
    if json:
        common.print_json(summary)
        return
    print(f"{out}: {summary['rows']} rows")
    faces = summary["faces"]
    if faces and faces["undetected"]:
        print(
            f"no face found in {faces['undetected']} images; {faces['file']} lists them (faces 0)"
        )
