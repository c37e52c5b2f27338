"""`intertwine moments`: the statistics of a feature set, or of some of its rows, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intertwine.console import options as common
from intertwine.wording import counted


def moments(
    feature_set: Annotated[
        list[Path],
        typer.Argument(metavar="SET", help="Feature set: a folder, or several joined by id."),
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    rows: Annotated[
        str | None, typer.Option(metavar="A:B", help="Rows A to B−1 only; `merge` joins parts.")
    ] = None,
    space: Annotated[
        list[str] | None, typer.Option(help="A space; repeatable. All when omitted.")
    ] = None,
    precision: common.PrecisionOption = common.Precision.auto,
    fast_error: common.FastErrorOption = common.FAST_ERROR,
    device: common.DeviceOption = "cpu",
    workers: common.WorkersOption = None,
    scheduler: common.SchedulerOption = None,
    checkpoint: common.CheckpointOption = common.CHECKPOINT_SECONDS,
    json: common.JsonOption = False,
) -> None:
    """Write joint moments, which `fit`, `similarity` and `merge` read; resumes after a kill.

    Example: intertwine moments set/ --out set.moments --workers 8
    """
    from intertwine.parallel.workers import open_workers
    from intertwine.passes.moments.file import moments_to_file

    chosen = None if rows is None else common.row_range(rows)
    products = common.products(precision, device, fast_error)
    with common.progress() as progress, open_workers(workers, scheduler) as pool:
        summary = moments_to_file(
            feature_set,
            out,
            rows=chosen,
            names=space,
            products=products,
            workers=pool,
            every=checkpoint,
            progress=lambda done, total: progress("joint moments", done, total),
        )
    if json:
        common.print_json(summary)
        return
    if summary["resumed"]:
        common.print_note(f"went on after {counted(summary['resumed'], 'row')} of an earlier run")
    common.print_line(f"{out}: {counted(summary['n'], 'row')} of {', '.join(summary['spaces'])}")
