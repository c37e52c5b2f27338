"""`intertwine inspect`: what any file or folder of ours holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from intertwine.cli import common


def inspect(
    path: Annotated[
        Path, typer.Argument(help="A feature set, map, moments, head, .npy or report.")
    ],
    json: common.JsonOption = False,
) -> None:
    """Say what a file or folder holds."""
    from intertwine.inspection import describe

    facts = describe(path)
    if json:
        common.print_json(facts)
        return
    _print(facts)


def _print(value: dict[str, Any], indent: str = "") -> None:
    for key, entry in value.items():
        if isinstance(entry, dict):
            common.print_line(f"{indent}{key}:")
            _print(entry, indent + "  ")
        elif isinstance(entry, list) and len(entry) > 8:
            common.print_line(f"{indent}{key}: {len(entry)} entries")
        else:
            common.print_line(f"{indent}{key}: {entry}")
