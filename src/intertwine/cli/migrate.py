"""`intertwine migrate`: move a vector store to a new space without embedding anything again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from intertwine.console import options as common
from intertwine.wording import counted

BATCH_ROWS = 2000


def migrate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="STORE",
            help="The old vectors: pgvector://HOST/DB?table=T&column=C, qdrant://HOST:PORT/NAME, "
            "qdrant:FOLDER#NAME, lancedb:FOLDER#TABLE, faiss:FILE, parquet:FILES#COLUMN, npy:FILE.",
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="STORE",
            help="Where the new ones go: another column, collection, table or file of the same store.",
        ),
    ],
    map_file: Annotated[
        Path,
        typer.Option("--map", help="A map from the old space to the new, made by fit or plan."),
    ],
    batch_size: Annotated[int, typer.Option(help="Items written at a time.")] = BATCH_ROWS,
    rate: Annotated[
        float | None,
        typer.Option(help="At most this many items per second, to spare a busy server."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            help="Feature set with the store's ids and the new model's own vectors of some items; "
            "searches with them must find those items."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, write nothing.")
    ] = False,
    switch: Annotated[
        bool,
        typer.Option("--switch", help="At the end, make the old name refer to the new vectors."),
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Make the old name refer to the old vectors again.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Map vectors even where they look like another space, and a pgvector column even "
            "where views, triggers or the like are bound to it (they are named, and stay as they are); "
            "with --rollback, go back even where what was written since must be set aside.",
        ),
    ] = False,
    json: common.JsonOption = False,
) -> None:
    """Convert a store's vectors beside the old ones; resumes after a kill.

    Example: intertwine migrate npy:old.npy npy:new.npy --map maps/a--b.safetensors
    """
    from intertwine.passes.migrate.run import MigrateOptions
    from intertwine.passes.migrate.run import migrate as move

    options = MigrateOptions(
        batch_size=batch_size,
        rate=rate,
        dry_run=dry_run,
        switch=switch,
        rollback=rollback,
        force=force,
        check=check,
    )
    with common.progress(rate=True) as progress:
        summary = move(source, target, map_file, options=options, progress=progress)
    if json:
        common.print_json(summary)
        return
    for note in summary["notes"]:
        common.print_note(note)
    for line in _lines(summary, rollback=rollback):
        common.print_line(line)


def _lines(summary: dict[str, Any], *, rollback: bool) -> list[str]:
    """Return what a person wants to know at the end."""
    if rollback:
        return [f"{summary['source']} stands for the old vectors again"]
    lines = []
    if not summary["dry_run"]:
        rows = counted(summary["rows"], "item", form=",")
        lines.append(f"{summary['target']}: {rows}, {summary['written']:,} written now")
    checks = summary["checks"]
    if checks:
        if checks["read_back"]:
            right = checks["read_back"] - checks["differ"]
            lines.append(
                f"{right} of {counted(checks['read_back'], 'item')} read back "
                f"{'is' if right == 1 else 'are'} what the map makes of the old ones"
            )
        lines += [
            f"{said}: {100 * checks[name]:.0f} % ({100 * checks[f'{name}_low']:.0f} to "
            f"{100 * checks[f'{name}_high']:.0f}; chance {100 * checks['chance']:.2g})"
            for name, said in (
                ("neighbours_kept", "neighbours kept"),
                ("found", "items found by their native vectors"),
            )
            if checks[name] is not None
        ]
    if summary["switched"]:
        lines.append(f"{summary['source']} stands for the new vectors; --rollback undoes it")
    return lines
