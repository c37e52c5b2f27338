"""`intertwine inspect`: what any file or folder of ours holds."""

from __future__ import annotations

import shutil
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

import typer

from intertwine.cli import common
from intertwine.wording import counted

LONGEST_LIST = 8
# The fact that holds shapes by name.
TENSORS = "tensors"


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
    """Print facts a line each, what they hold further in below them."""
    for key, entry in value.items():
        if isinstance(entry, dict) and entry:
            common.print_line(f"{indent}{key}:")
            if key == TENSORS:
                entry = {name: _shape(axes) for name, axes in entry.items()}  # noqa: PLW2901
            _print(entry, indent + "  ")
        elif isinstance(entry, list) and len(entry) > LONGEST_LIST:
            common.print_line(f"{indent}{key}: {counted(len(entry), 'entry', 'entries')}")
        elif isinstance(entry, list) and entry and all(isinstance(each, dict) for each in entry):
            common.print_line(f"{indent}{key}:")
            for line in _columns(entry, shutil.get_terminal_size().columns - len(indent) - 2):
                common.print_line(f"{indent}  {line}")
        else:
            common.print_line(f"{indent}{key}: {_words(entry)}")


def _shape(axes: list[int]) -> str:
    """Return the shape of an array in words."""
    return " × ".join(map(str, axes)) or "one number"


def _words(value: Any) -> str:
    """Return a value of JSON in words."""
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items())
    return str(value)


def _columns(rows: list[dict[str, Any]], width: int) -> list[str]:
    """Return rows of one table as lines of columns, as many of them as fit, and what is left out."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = {key: [key, *(_words(row.get(key)) for row in rows)] for key in keys}
    sizes = {key: max(map(len, column)) for key, column in cells.items()}
    ends = accumulate(sizes[key] + 2 for key in keys)
    # One is shown however wide it is.
    shown = [key for key, end in zip(keys, ends, strict=True) if end - 2 <= width] or keys[:1]
    lines = [
        "  ".join(cells[key][number].ljust(sizes[key]) for key in shown).rstrip()
        for number in range(len(rows) + 1)
    ]
    left = len(keys) - len(shown)
    return [*lines, f"and {counted(left, 'column')} more, which --json shows"] if left else lines
