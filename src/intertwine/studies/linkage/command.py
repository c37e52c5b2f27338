"""`intertwine linkage`: an audit of how many known pairs make a withheld database linkable."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from intertwine.console import options as common
from intertwine.wording import counted

# Folder of the conditions that a killed study had finished.
SCRATCH = ".conditions"
PLUS = "+ all: self-trained on unlabelled templates and probes as well"
SOME = "; + 50 %: where half of the people searched for have such a template"


class Attack(StrEnum):
    """What an attacker learns maps from."""

    paired = "paired"
    self_trained = "self-trained"
    both = "both"


def linkage(
    gallery: Annotated[
        list[Path],
        typer.Option(
            "--gallery",
            help="Feature set of the database under audit, with labels as identities; repeatable.",
        ),
    ],
    probe: Annotated[
        list[Path],
        typer.Option(
            "--probe", help="Feature set of other images of its people, with labels; repeatable."
        ),
    ],
    out: common.OutOption,
    known: Annotated[
        str | None,
        typer.Option(
            help="Numbers of known pairs, comma-separated, such as 0,10,50,all; by default several, "
            "up to all."
        ),
    ] = None,
    attack: Annotated[
        Attack,
        typer.Option(
            help="What maps are learned from: known pairs alone, or all other templates and probes as "
            "well, without their labels."
        ),
    ] = Attack.both,
    overlap: Annotated[
        str,
        typer.Option(
            help="For self-trained maps, shares of the people searched for who have an unlabelled "
            "template, comma-separated, such as 1,0.5,0.25,0."
        ),
    ] = "1",
    folds: Annotated[int, typer.Option(help="Folds of people, at least 2.")] = 5,
    method: common.MethodOption = common.Method.cca,
    alpha: common.AlphaOption = "1.0",
    intercept: common.InterceptOption = common.Intercept.free,
    rank: common.RankOption = None,
    alphas: common.AlphasOption = None,
    scale: common.ScaleOption = False,
    precision: common.PrecisionOption = common.Precision.auto,
    device: common.DeviceOption = "cpu",
    json: common.JsonOption = False,
) -> None:
    """Audit a database: rates at which its templates are linked, never who is linked.

    Example: intertwine linkage --gallery enrolled/ --probe seen/ --out linked/
    """
    from intertwine.features.feature_set import FeatureSet
    from intertwine.studies.linkage.study import linkage as study

    options = common.fit_options(method, alpha, intercept, rank, alphas=alphas, scale=scale)
    counts = None if known is None else [_count(text) for text in known.split(",")]
    common.check_device(device, precision)
    common.hold_report(out, "linkage", [*gallery, *probe])
    with common.progress() as progress:
        result = study(
            FeatureSet.open(*gallery),
            FeatureSet.open(*probe),
            options=options,
            known=counts,
            attack=attack.value,
            overlap=[_share(text) for text in overlap.split(",")],
            n_folds=folds,
            precision=precision.value,
            device=device,
            scratch=out / SCRATCH,
            progress=progress,
        )
    common.deliver(result, out, show=_print, as_json=json, scratch=out / SCRATCH)


def _count(text: str) -> int | str:
    """Return a number of known pairs; what is none is left to the study to refuse."""
    from intertwine.storage.untrusted import is_count

    text = text.strip()
    return int(text) if is_count(text) else text


def _share(text: str) -> float:
    from intertwine.errors import InputError

    try:
        return float(text)
    except ValueError:
        raise InputError(f"got --overlap {text!r}, expected shares from 0 to 1") from None


def _print(result: dict[str, Any]) -> None:
    """Print warnings and notes, and the headline table: rank 1 by known pairs, a row each."""
    from rich.console import Console

    from intertwine.report.terminal import terminal_table
    from intertwine.studies.linkage.tables import PAIRS

    console = Console()
    common.print_notes(console, result)
    size = result["pairs"][0]
    title = (
        f"{counted(size['n_probes'], 'probe', form=',')} of "
        f"{counted(size['n_people'], 'person', 'people', form=',')} among {size['n_gallery']:,}"
    )
    show = {"known_pairs": _known}
    console.print(
        terminal_table(PAIRS, result["pairs"], title, width=console.width, show=show),
        highlight=False,
    )
    overlaps = {row.get("overlap") for row in result["pairs"]} - {None}
    if overlaps:
        console.print(PLUS + (SOME if overlaps != {1.0} else ""), highlight=False)


def _known(row: dict[str, Any], _: int) -> str:
    if row["condition"] == "native":
        return "native"
    if row.get("overlap") is None:
        return f"{row['known_pairs']:,}"
    share = "all" if row["overlap"] == 1 else f"{100 * row['overlap']:.3g} %"
    return f"{row['known_pairs']:,} + {share}"
