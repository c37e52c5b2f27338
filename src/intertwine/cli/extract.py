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
    encoder: Annotated[
        list[str], typer.Option(help="Encoder URI, such as onnx:net.onnx?channels=bgr; repeatable.")
    ],
    out: common.OutOption,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a batch.")] = 32,
    dtype: Annotated[str, typer.Option(help="float16 or float32 on disk.")] = "float16",
    rows: Annotated[
        str | None, typer.Option(metavar="A:B", help="Take rows A to B−1 of the input only.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding threads.")] = None,
    json: common.JsonOption = False,
) -> None:
    """Extract features and heads; the same command goes on after a kill."""
    from intertwine.passes.extract import extract as run

    with common.progress() as report:
        summary = run(
            source,
            encoder,
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
