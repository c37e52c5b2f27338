"""What commands share: options and their checks, held outputs, reports and lines of text."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

import typer

from intertwine.console.progress import progress as progress  # noqa: PLC0414 - offered here too
from intertwine.storage.untrusted import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console

    from intertwine.estimators import FitOptions
    from intertwine.moments.accumulators import Products


FAST_ERROR = 2.0**-8
CHECKPOINT_SECONDS = 30.0
# Notes may have several lines.
LINES = "\n\t"


class Precision(StrEnum):
    """Precisions of products; sums and solves are float64 always."""

    auto = "auto"
    float64 = "float64"
    float32 = "float32"
    fast = "fast"


class Method(StrEnum):
    """Methods that fit a map."""

    ridge = "ridge"
    least_squares = "least-squares"
    procrustes = "procrustes"
    reduced_rank = "reduced-rank"
    cca = "cca"
    analytic = "analytic"
    identity = "identity"
    mean = "mean"


class Intercept(StrEnum):
    """Kinds of intercept."""

    free = "free"
    homogeneous = "homogeneous"
    none = "none"


# Options that only some methods take; a grid goes by λ.
_TAKES = {
    "rank": frozenset({Method.reduced_rank, Method.cca}),
    "scale": frozenset({Method.procrustes}),
}
_WITHOUT_PENALTY = frozenset(
    {Method.least_squares, Method.procrustes, Method.identity, Method.mean}
)
OutOption = Annotated[Path, typer.Option("--out", help="Folder to write.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
PrecisionOption = Annotated[
    Precision, typer.Option(help="Precision of products; auto goes by size.")
]
DeviceOption = Annotated[
    str, typer.Option(help="Where products run: cpu, cuda (every GPU) or cuda:N.")
]
FastErrorOption = Annotated[
    float,
    typer.Option(help="Largest relative rounding error of a feature with precision fast."),
]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Processes that share the work on this machine.")
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        metavar="local|ADDRESS",
        help="Dask scheduler that distributes the work; local starts one on this machine.",
    ),
]
CheckpointOption = Annotated[
    float, typer.Option(min=0, help="Seconds between two saves of unfinished moments.")
]
MethodOption = Annotated[Method, typer.Option(help="How maps are fitted.")]
AlphaOption = Annotated[
    str, typer.Option(help="Ridge penalty λ: a number, gcv, or gcv-per-target.")
]
AlphasOption = Annotated[
    str | None,
    typer.Option(
        help="λ grid of GCV, comma-separated and ascending; follows the source's scale if omitted."
    ),
]
InterceptOption = Annotated[Intercept, typer.Option(help="How the intercept is treated.")]
RankOption = Annotated[
    str | None, typer.Option(help="Rank of reduced-rank (a number or gcv) or of cca (a number).")
]
ScaleOption = Annotated[bool, typer.Option("--scale", help="Fit a scale with procrustes.")]
PriorOption = Annotated[
    str | None,
    typer.Option(help="analytic: shrink ridge toward the analytic map, not toward zero."),
]


def fit_options(
    method: Method,
    alpha: str,
    intercept: Intercept,
    rank: str | None,
    *,
    alphas: str | None = None,
    scale: bool = False,
    prior: str | None = None,
) -> FitOptions:
    """Return the options of a fit from what was typed.

    InputError for an option that is no number where one is needed, or that the method does not
    take.
    """
    import numpy as np

    from intertwine.errors import InputError
    from intertwine.estimators import FitOptions
    from intertwine.estimators.ridge import check_alpha

    def number(text: str, kind: type, option: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise InputError(f"got {option} {text!r}, expected a number") from None

    grid = None
    if alphas is not None:
        grid = np.array([number(value, float, "--alphas") for value in alphas.split(",")])
    _refuse_unused(method, alpha, {"rank": rank, "scale": scale or None, "alphas": alphas})
    return FitOptions(
        method=method.value,
        alpha=check_alpha(alpha),
        intercept=intercept.value,
        rank=rank if rank in {None, "gcv"} else number(str(rank), int, "--rank"),
        scale=scale,
        prior=prior,
        alphas=grid,
    )


def _refuse_unused(method: Method, alpha: str, typed: dict[str, Any]) -> None:
    """Raise where an option was typed that the fit would not use."""
    from intertwine.errors import InputError

    for name, methods in _TAKES.items():
        if typed[name] is not None and method not in methods:
            names = " or ".join(sorted(each.value for each in methods))
            raise InputError(
                f"got --{name} with method {method.value}, expected it with {names} only"
            )
    by_gcv = alpha in {"gcv", "gcv-per-target"}
    if by_gcv and method in _WITHOUT_PENALTY:
        raise InputError(
            f"got --alpha {alpha} with method {method.value}, which takes no λ; leave it out"
        )
    if typed["alphas"] is not None and not (by_gcv or typed["rank"] == "gcv"):
        raise InputError(
            f"got --alphas with --alpha {alpha}, expected --alpha gcv, which searches it"
        )


def check_device(
    device: str, precision: Precision = Precision.auto, fast_error: float = FAST_ERROR
) -> None:
    """Raise before long work where this machine lacks the device or the matrix units asked for.

    An error that no precision reaches raises first: commands check first what is wrong on every
    machine.
    """
    if device != "cpu" or precision is Precision.fast or fast_error != FAST_ERROR:
        products(precision, device, fast_error)


def products(precision: Precision, device: str, fast_error: float) -> Products:
    """Return how products are computed, or raise before long work where this machine cannot."""
    from intertwine.moments.accumulators import Products

    chosen = Products(precision.value, device, fast_error)
    chosen.require()
    return chosen


def row_range(text: str, *, option: str = "--rows") -> tuple[int, int]:
    """Return the rows that `A:B` names, A included and B not; errors name `option`."""
    start, colon, stop = text.partition(":")
    from intertwine.storage.untrusted import is_count

    if not (colon and is_count(start) and is_count(stop)):
        from intertwine.errors import InputError

        raise InputError(f"got {option} {text[:60]!r}, expected A:B, such as 0:2700")
    return int(start), int(stop)


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(value, allow_nan=False))


# Outputs that the command holds; `main` releases them.
held = ExitStack()


def hold(output: Path) -> None:
    """Hold an output until the command ends; InputError where another run holds it."""
    from intertwine.storage.locks import one_run

    held.enter_context(one_run(output))


def hold_report(folder: Path, study: str, inputs: Iterable[Path]) -> None:
    """Hold a report's folder, and raise before long work where the report could not be written.

    Where there will be no page, a note says so, and how to install what draws it.
    """
    from intertwine.report import check_folder
    from intertwine.storage.files import check_writable

    check_folder(folder, study, inputs)
    check_writable(folder)
    hold(folder)
    note_missing_page()


def note_missing_page() -> None:
    """Print a note where reports will have no page and no figures, and how they will."""
    from intertwine.report import lacks_extra

    if reason := lacks_extra():
        print_note(f"the report will be JSON and CSV, without page and figures: {reason}")


class Result(Protocol):
    """What a study returns, as far as its command needs it."""

    def dated(self, **facts: Any) -> Self:
        """Return the result with the time of its creation and further facts."""
        ...

    def save(self, folder: Path) -> Path:
        """Write the report's folder and return the path of its page."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the object of `report.json`."""
        ...


def deliver(
    result: Result,
    folder: Path,
    *,
    show: Callable[[dict[str, Any]], None],
    as_json: bool,
    scratch: Path | None = None,
) -> None:
    """Write the report of a study's result, and print its JSON or `show` its headline table.

    `scratch`, the folder that a killed run would resume from, is removed once the report is written.
    """
    from intertwine.storage.files import remove_folder

    result = result.dated(**command_line())
    page = result.save(folder)
    if scratch is not None:
        remove_folder(scratch)
    if as_json:
        print_json(result.to_json())
        return
    show(result.to_json())
    print_line(f"report: {page}")


# The arguments of the command line that runs, which `main` sets.
typed: list[str] = []


def command_line() -> dict[str, str]:
    """Return the command line that repeats the run as a study's fact `command`; nothing outside of one.

    Paths are as they were typed, secrets of addresses are hidden; whether JSON was asked for
    changes no report.
    """
    from intertwine.stores.masking import hidden, secrets_of

    if not typed:
        return {}
    arguments = [argument for argument in typed if argument != "--json"]
    shown = [hidden(argument, secrets_of({"": argument})) for argument in arguments]
    return {"command": printable(shlex.join(["intertwine", *shown]))}


def print_notes(console: Console, result: dict[str, Any]) -> None:
    """Print a study's notes, warnings first; call it before anything else is printed."""
    warnings = result.get("warnings", ())
    for note in warnings:
        text = printable(f"warning: {note}", keep=LINES)
        console.print(text, style="bold", soft_wrap=True, highlight=False, markup=False)
    for note in result["notes"]:
        if note not in warnings:
            text = printable(note, keep=LINES)
            console.print(text, soft_wrap=True, highlight=False, markup=False)


def print_summary_notes(summary: dict[str, Any]) -> None:
    """Print the notes of a command's summary on standard error, warnings first."""
    for note in summary["notes"]:
        print_note(f"warning: {note}" if note in summary.get("warnings", ()) else note)


def print_note(text: str) -> None:
    """Print a line for a person on standard error."""
    print(printable(text, keep=LINES), file=sys.stderr)


def print_line(text: str) -> None:
    """Print a line for a person on standard output."""
    print(printable(text, keep=LINES))
