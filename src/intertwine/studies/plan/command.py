"""`intertwine plan`: what a store would retrieve for a new model, before it is touched."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from intertwine.console import options as common

# Exit code where nothing but embedding everything again will do.
REEMBED_EXIT = 3


class Metric(StrEnum):
    """Ways to compare vectors."""

    cosine = "cosine"
    ip = "ip"
    l2 = "l2"


def plan(
    pairs: Annotated[
        list[Path],
        typer.Option(
            "--pairs",
            help="Feature set of items of the store's domain through both models; repeatable.",
        ),
    ],
    source: Annotated[str, typer.Option(help="The old model's space: the store's vectors.")],
    target: Annotated[str, typer.Option(help="The new model's space: the queries to come.")],
    out: common.OutOption,
    proxy: Annotated[
        list[Path] | None,
        typer.Option(
            "--proxy", help="Feature set of other items, such as public ones; repeatable."
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            help="File of the store's vectors, to check that the pairs are of its domain."
        ),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="File of items that belong together, such as pieces of a document; one group "
            "per line."
        ),
    ] = None,
    metric: Annotated[Metric, typer.Option(help="How vectors are compared.")] = Metric.cosine,
    accept: Annotated[
        float, typer.Option(help="Share of re-embedding's quality that is enough.")
    ] = 0.8,
    least: Annotated[
        float, typer.Option(help="Share below which a converted store is not worth repairing.")
    ] = 0.5,
    folds: Annotated[int, typer.Option(help="Folds of pairs, at least 10.")] = 10,
    rows: Annotated[int, typer.Option(help="Use at most this many pairs.")] = 5000,
    seed: Annotated[int, typer.Option(help="Seed of the random folds.")] = 0,
    json: common.JsonOption = False,
) -> None:
    """Forecast what searches find after each way to move to a new model; exit 3: re-embed.

    Example: intertwine plan --pairs both/ --source old --target new --out plan/
    """
    from intertwine.features.feature_set import FeatureSet
    from intertwine.studies.plan.options import PlanOptions
    from intertwine.studies.plan.study import plan as study
    from intertwine.vectors import open_vectors

    options = PlanOptions(metric.value, accept, least, folds, rows, seed)
    common.hold_report(out, "plan", [*pairs, *(proxy or [])])
    with common.progress() as progress:
        result = study(
            FeatureSet.open(*pairs),
            source,
            target,
            options=options,
            proxy=FeatureSet.open(*proxy) if proxy else None,
            store=None if store is None else open_vectors(store),
            groups=groups,
            progress=progress,
        )

    common.deliver(result, out, show=_print, as_json=json)
    if result.facts["decision"] == "reembed":
        raise typer.Exit(REEMBED_EXIT)


def _print(result: dict[str, Any]) -> None:
    """Print warnings and notes, the options, a row each, and the decision with its reason."""
    from rich.console import Console

    from intertwine.report.terminal import terminal_table
    from intertwine.studies.plan.sentences import MEANINGS
    from intertwine.studies.plan.tables import OPTIONS_TABLE

    console = Console()
    common.print_notes(console, result)
    title = f"{result['n_pairs']:,} pairs, {result['source']} → {result['target']}"
    rows = [*result["pairs"], *result["baselines"]]
    without = () if result["labels"] else ("ndcg_at_10",)
    table = terminal_table(
        OPTIONS_TABLE,
        rows,
        title,
        width=console.width,
        show={"option": lambda row, _: str(row["option"])},
        without=without,
        intervals=True,
    )
    console.print(table, highlight=False)
    for option in dict.fromkeys(row["option"] for row in rows):
        console.print(f"{option}: {MEANINGS[option]}", highlight=False, markup=False)
    decided = f"{result['decision']}: {result['reason']}"
    console.print(decided, soft_wrap=True, highlight=False, markup=False)
