"""`intertwine convert-checkpoint`: a TensorFlow checkpoint as weights that an encoder opens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intertwine.console import options as common
from intertwine.wording import counted


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
    arch: Annotated[str, typer.Option(help="mobilenet-v2, resnet-50 or inception-v2.")],
    json: common.JsonOption = False,
) -> None:
    """Convert a checkpoint of arcface-tf2 or slim's Inception-v2 to torch; needs TensorFlow.

    Example: intertwine convert-checkpoint arc/e_8.ckpt arc.safetensors --arch mobilenet-v2
    """
    from intertwine.encoders.checkpoints.convert import convert_checkpoint as run

    common.hold(out)
    summary = run(checkpoint, out, arch=arch)
    if json:
        common.print_json(summary)
        return
    common.print_line(f"{out}: {summary['architecture']}, {counted(summary['weights'], 'weight')}")
