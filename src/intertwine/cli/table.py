"""How commands deliver a closed-set result: the report, then JSON or a table in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from intertwine.cli import common
from intertwine.wording import counted


def deliver(result: dict[str, Any], folder: Path, *, as_json: bool) -> None:
    """Write the report of a closed-set result and print the result.

    Parameters
    ----------
    result
        The object of `ClosedSetResult.to_json`.
    folder
        Where the report goes.
    as_json
        Whether to print the object of `report.json` instead of a table.
    """
    from intertwine.report import write_closed_set_report

    common.deliver(
        result, folder, write=write_closed_set_report, show=print_closed_set, as_json=as_json
    )


def print_closed_set(result: dict[str, Any]) -> None:
    """Print the main table and the headline numbers of a closed-set result."""
    console = Console()
    common.print_warnings(console, result)
    cells = {(row["source"], row["target"]): row for row in result["pairs"]}
    names = list(dict.fromkeys(row["source"] for row in result["pairs"]))
    table = Table(
        title=f"Top-1 accuracy (%) of row's features in column's classifier; "
        f"{counted(result['n_fit'], 'fit row')}, {counted(result['n_eval'], 'evaluation row')}"
    )
    table.add_column("features ↓ head →", overflow="fold")
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for source in names:
        table.add_row(source, *(_cell(cells[source, target], result) for target in names))
    console.print(table)
    paper, overlap = result["paper"], result["overlap"]
    seen = f"{overlap} of {result['n_eval']} rows scored were fitted on: " if overlap else ""
    theirs = f" (paper: −1.90, −11.6 with {paper['n_fit']:,} fit rows)" if paper else ""
    console.print(
        f"{seen}percent change against the source's own accuracy: median "
        f"{percent(result['median_percent_change'])}, worst "
        f"{percent(result['worst_percent_change'])} over non-control pairs{theirs}; "
        f"chance {100 * result['chance']:.2g} %",
        soft_wrap=True,
        highlight=False,
    )
    common.print_notes(console, result)


def percent(value: float | None) -> str:
    """Return a signed percentage with a true minus, or an en dash where undefined."""
    return "–" if value is None else f"{value:+.2f} %".replace("-", "−")


def _cell(row: dict[str, Any], result: dict[str, Any]) -> Text:
    accuracy = f"{100 * row['accuracy']:.1f}"
    if row["source"] == row["target"]:
        return Text(f"{accuracy}\nnative", style="bold")
    if row["source"] in result["controls"]:
        # A change against an untrained network's accuracy, which is chance, would mean nothing.
        return Text(accuracy, style="dim")
    if row["target"] in result["controls"]:
        return Text(f"{accuracy}\n{percent(row['percent_change'])}", style="dim")
    change = row["percent_change"]
    style = (
        "" if change is None else "green" if change >= 0 else "red" if change < -10 else "yellow"
    )
    return Text(f"{accuracy}\n{percent(change)}", style=style)
