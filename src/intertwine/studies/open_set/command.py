"""`intertwine open-set`: people verified across networks, over the folds of a list of pairs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intertwine.console import options as common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.studies.open_set.fold_maps import ReadyMaps
    from intertwine.studies.open_set.options import OpenSetOptions
    from intertwine.studies.open_set.trials import Progress


# Where a study that was killed finds what it had done.
SCRATCH = ".scores"


class Threshold(StrEnum):
    """Scores that thresholds are chosen on."""

    train = "train"
    crossfit = "crossfit"


class Protocol(StrEnum):
    """All choices at once."""

    paper = "paper"
    best = "best"


class Space(StrEnum):
    """Where two embeddings are compared."""

    target = "target"
    shared = "shared"


# What a protocol decides, and how the paper decided it.
_DECIDED = {
    "fit": "matched-pairs",
    "method": "ridge",
    "alpha": "1.0",
    "intercept": "none",
    "rank": None,
    "alphas": None,
    "scale": False,
    "threshold": Threshold.train,
}


def open_set(
    context: typer.Context,
    feature_set: Annotated[
        list[Path],
        typer.Argument(metavar="SET", help="Feature set: a folder, or several joined by id."),
    ],
    pairs: Annotated[
        Path, typer.Option(help="Official LFW list of pairs, or a CSV of id,id,same,fold.")
    ],
    out: common.OutOption,
    fit: Annotated[
        str,
        typer.Option(
            metavar="ROWS",
            help="Rows of the other folds to fit on, matched-pairs or images; or the path of a feature "
            "set or of a folder of maps.",
        ),
    ] = "matched-pairs",
    method: common.MethodOption = common.Method.ridge,
    alpha: common.AlphaOption = "1.0",
    intercept: common.InterceptOption = common.Intercept.free,
    rank: common.RankOption = None,
    alphas: common.AlphasOption = None,
    scale: common.ScaleOption = False,
    threshold: Annotated[
        Threshold,
        typer.Option(help="Choose thresholds on training scores, or on cross-fitted ones."),
    ] = Threshold.train,
    protocol: Annotated[
        Protocol | None, typer.Option(help="All choices at once: the paper's, or the best we know.")
    ] = None,
    space: Annotated[
        Space,
        typer.Option(help="With --protocol best: keep the target's templates, or map both sides."),
    ] = Space.target,
    replicates: Annotated[
        int, typer.Option(min=0, help="Bootstrap replicates over people; 0 for no intervals.")
    ] = 1000,
    refit: Annotated[
        bool, typer.Option("--refit", help="Fit the maps again in every replicate; slow.")
    ] = False,
    curve_points: Annotated[
        int, typer.Option(min=0, help="Points of the curve over fit rows; 0 for no curves.")
    ] = 6,
    precision: common.PrecisionOption = common.Precision.auto,
    device: common.DeviceOption = "cpu",
    json: common.JsonOption = False,
) -> None:
    """Verify people across every ordered pair of networks and write a report.

    Example: intertwine open-set faces/ --pairs pairs.txt --out verified/
    """
    from intertwine.features.feature_set import FeatureSet
    from intertwine.studies.open_set.options import OpenSetOptions
    from intertwine.studies.open_set.pairs import read_pairs
    from intertwine.studies.open_set.study import open_set as study

    if protocol is not None:
        _refuse_decided(context, protocol)
    if protocol is Protocol.paper:
        intercept = common.Intercept.none
    elsewhere = _elsewhere(fit)
    options = OpenSetOptions(
        fit="matched-pairs" if elsewhere else fit,
        method=common.fit_options(method, alpha, intercept, rank, alphas=alphas, scale=scale),
        threshold=threshold.value,
        protocol=None if protocol is None else protocol.value,
        space=space.value,
        replicates=replicates,
        refit=refit,
        curve_points=curve_points,
    )
    common.check_device(device, precision)
    fitted_on = [Path(elsewhere)] if elsewhere else []
    common.hold_report(out, "open-set", [*feature_set, *fitted_on])
    rows, listed = FeatureSet.open(*feature_set), read_pairs(pairs)
    with common.progress() as progress:
        maps = _maps_from(elsewhere, rows, options, progress) if elsewhere else None
        result = study(
            rows,
            listed,
            options=options,
            maps=maps,
            precision=precision.value,
            device=device,
            scratch=out / SCRATCH,
            progress=progress,
        )
    common.deliver(result, out, show=print_open_set, as_json=json, scratch=out / SCRATCH)


def _elsewhere(fit: str) -> str | None:
    """Return the path that maps come from, or None where they are fitted in the folds."""
    from intertwine.errors import InputError
    from intertwine.studies.open_set.options import FITS

    if "/" in fit or "\\" in fit:
        return fit
    if fit not in FITS:
        raise InputError(
            f"got --fit {fit}, expected {', '.join(FITS)}, or a path with a separator, such as ./{fit}"
        )
    return None


def _refuse_decided(context: typer.Context, protocol: Protocol) -> None:
    """Raise when an option was typed that the protocol decides otherwise."""
    from intertwine.errors import InputError

    for name, value in _DECIDED.items():
        source = context.get_parameter_source(name)
        typed = source is not None and source.name == "COMMANDLINE"
        given = context.params[name]
        if typed and (protocol is Protocol.best or not _agree(given, value)):
            raise InputError(
                f"got --{name} {given} with --protocol {protocol.value}, which decides it; leave "
                "one of the two out"
            )


def _agree(given: Any, value: Any) -> bool:
    """Return whether an option is what a protocol decides; 1 and 1.0 are one number."""
    try:
        return float(given) == float(value)
    except (TypeError, ValueError):
        return bool(given == value)


def _maps_from(
    path: str, rows: FeatureSet, options: OpenSetOptions, progress: Progress
) -> ReadyMaps:
    """Return maps from a folder of maps, or fitted on another feature set."""
    from intertwine.features.feature_set import FeatureSet
    from intertwine.studies.open_set.fold_maps import ReadyMaps
    from intertwine.studies.open_set.ready_maps import fit_on_units, holds_maps, read_maps
    from intertwine.studies.same_images import fitted_before, fitted_too

    names: Sequence[str] = list(rows.spaces)
    inputs = [Path(path).name]
    if holds_maps(path):
        ready = read_maps(path, names)
        return ReadyMaps(ready, fitted_before(rows, ready), {"fit": "maps", "fit_inputs": inputs})
    fit = FeatureSet.open(path)
    maps = fit_on_units(fit, names, options.method, progress=progress)
    return ReadyMaps(maps, fitted_too(rows, fit), {"fit": "set", "fit_inputs": inputs})


def print_open_set(result: dict[str, Any]) -> None:
    """Print Table 6: accuracy, and percent change against the source's own network."""
    from rich.console import Console

    from intertwine.report.terminal import terminal_matrix

    console = Console()
    common.print_notes(console, result)
    cells = {(row["source"], row["target"]): row for row in result["pairs"]}
    names = [row["space"] for row in result["natives"]]
    title = (
        f"Verification accuracy (%) over {result['n_folds']} folds of {result['n_pairs']:,} "
        "pairs: row's network against column's"
    )
    console.print(
        terminal_matrix(
            title,
            "first image ↓ second →",
            names,
            lambda a, b: _cell(cells[a, b]),
            width=console.width,
        ),
        highlight=False,
    )
    plain = [row["identity_accuracy"] for row in result["pairs"] if row["source"] != row["target"]]
    console.print(
        f"worst loss against the weaker network {result['worst_loss']:.2f} points; without a map "
        f"{100 * min(plain):.1f} … {100 * max(plain):.1f} %",
        soft_wrap=True,
        highlight=False,
    )


def _cell(row: dict[str, Any]) -> str:
    text = f"{100 * row['accuracy']:.2f} ± {100 * row['std']:.2f}"
    if row["source"] == row["target"]:
        return f"{text}\nnative"
    change = row["percent_change"]
    return text if change is None else f"{text}\n{change:+.2f} %".replace("-", "−")
