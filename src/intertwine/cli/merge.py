"""`intertwine merge`: files of moments over different rows, added up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intertwine.console import options as common
from intertwine.wording import counted


def merge(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Files of moments, in any order.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    json: common.JsonOption = False,
) -> None:
    """Add up moments of different rows; the same files in any order give the same bytes.

    Example: intertwine merge part-1.moments part-2.moments --out set.moments
    """
    from intertwine.passes.moments.file import merge_files

    with common.progress() as progress:
        summary = merge_files(
            files, out, progress=lambda done, total: progress("files", done, total)
        )
    if json:
        common.print_json(summary)
    else:
        common.print_line(
            f"{out}: {counted(summary['n'], 'row')} of {', '.join(summary['spaces'])}"
        )
