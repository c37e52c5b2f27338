"""`intertwine convert-checkpoint`: a TensorFlow checkpoint as weights that an encoder opens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intertwine.cli import common


def convert_checkpoint(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="Prefix of a checkpoint's files, such as arc_mbv2/e_8_b_40000.ckpt, or its folder.",
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT.safetensors", help="The file of weights to write.")
    ],
    arch: Annotated[str, typer.Option(help="mobilenet-v2 or resnet-50.")],
    json: common.JsonOption = False,
) -> None:
    """Write the weights of an arcface-tf2 checkpoint for `arcface:`; needs TensorFlow."""
    from intertwine.passes.convert_checkpoint import convert_checkpoint as run

    summary = run(checkpoint, out, arch=arch)
    if json:
        common.print_json(summary)
        return
    print(f"{out}: {summary['architecture']}, {summary['weights']} weights")
