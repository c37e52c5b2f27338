"""`intertwine extract`: images or texts through encoders into a feature set, in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from intertwine.console import options as common
from intertwine.wording import counted


def _schemes(incomplete: str) -> list[str]:
    """Return how encoders' URIs can go on, for a shell."""
    from intertwine.encoders.registry import SCHEMES

    return [f"{scheme}:" for scheme in SCHEMES if scheme.startswith(incomplete)]


def _presets(incomplete: str) -> list[str]:
    """Return the presets that begin with what was typed, for a shell."""
    from intertwine.encoders.presets.presets import PRESETS

    return [preset for preset in PRESETS if preset.startswith(incomplete)]


EncoderOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URI",
        autocompletion=_schemes,
        help="Encoder, such as onnx:net.onnx?channels=bgr; repeatable.",
    ),
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        autocompletion=_presets, help="A named set of encoders; `intertwine encoders` lists them."
    ),
]
WeightsOption = Annotated[
    Path | None, typer.Option(help="Folder of the preset's weight files; else INTERTWINE_WEIGHTS.")
]
RowsOption = Annotated[
    str | None, typer.Option(metavar="A:B", help="Read only rows A to B−1 of the input.")
]
FillOption = Annotated[
    str | None,
    typer.Option(
        metavar="A:B",
        help="Fill rows A to B−1 of the set while other processes or machines fill others; at the "
        "end, run once without it.",
    ),
]
SkipBadOption = Annotated[
    bool,
    typer.Option("--skip-bad", help="Leave images that cannot be read out of every space."),
]


def extract(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="Folder of images, `file label` manifest, table, tar or saved dataset; or texts.",
        ),
    ],
    out: common.OutOption,
    encoder: EncoderOption = None,
    preset: PresetOption = None,
    weights: WeightsOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per batch.")] = 32,
    dtype: Annotated[str, typer.Option(help="float16 or float32 on disk.")] = "float16",
    device: Annotated[
        str, typer.Option(help="Where networks run: cpu, cuda, cuda:N or mps.")
    ] = "cpu",
    precision: Annotated[
        str, typer.Option(help="Precision of the networks' products: float32 or bfloat16.")
    ] = "float32",
    rows: RowsOption = None,
    fill: FillOption = None,
    skip_bad: SkipBadOption = False,
    column: Annotated[
        str | None, typer.Option(help="Column of a table that holds images, paths or texts.")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of labels.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of ids.")] = None,
    readers: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode; one per core when omitted.")
    ] = None,
    workers: common.WorkersOption = None,
    scheduler: common.SchedulerOption = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each network; all cores when omitted.")
    ] = None,
    json: common.JsonOption = False,
) -> None:
    """Extract features and heads; resumes after a kill.

    Example: intertwine extract images/ --encoder timm:resnet50.a1_in1k --out set/
    """
    from intertwine.encoders.presets.presets import preset_uris
    from intertwine.inputs.tables.columns import Columns
    from intertwine.parallel.workers import open_workers
    from intertwine.passes.extract.extract import extract as run

    if not preset and not encoder:
        raise typer.BadParameter("give --encoder URI or --preset NAME")
    uris = [*(preset_uris(preset, weights) if preset else ()), *(encoder or ())]
    columns = Columns(column, label_column, id_column)
    with common.progress(rate=True) as progress, open_workers(workers, scheduler) as pool:
        summary = run(
            source,
            uris,
            out,
            batch_size=batch_size,
            dtype=dtype,
            device=device,
            precision=precision,
            rows=None if rows is None else common.row_range(rows),
            fill=None if fill is None else common.row_range(fill, option="--fill"),
            skip_bad=skip_bad,
            columns=None if columns == Columns() else columns,
            readers=readers,
            workers=pool,
            threads=threads,
            progress=lambda done, total: progress("extracting", done, total),
            notify=common.print_note,
        )
    if json:
        common.print_json(summary)
    else:
        _show(summary)


def _show(summary: dict[str, Any]) -> None:
    rate = summary["rate"]
    common.print_line(
        f"{summary['out']}: {counted(summary['rows'], 'row')}"
        + (f", {rate:.1f} a second" if rate else "")
    )
    gone, faces = summary["left_out"], summary["faces"]
    if gone["count"]:
        common.print_line(
            f"left out {gone['count']} of {summary['rows'] + gone['count']} images, which cannot be "
            f"read, such as {gone['ids'][0]}; feature_set.json lists them"
        )
    if summary["turned"]:
        common.print_line(
            f"{counted(summary['turned'], 'image carries', 'images carry')} a camera's orientation: it is applied where faces are "
            "cropped, and not to whole images"
        )
    if faces and faces["undetected"]:
        common.print_line(
            f"no face found in {counted(faces['undetected'], 'image')}; {faces['file']} lists them (faces 0)"
        )
