"""The command line: one file a command, imported only when that command runs."""

from __future__ import annotations

import io
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import ParameterInfo

from intertwine.cli.apply import apply
from intertwine.cli.convert_checkpoint import convert_checkpoint
from intertwine.cli.demo import demo
from intertwine.cli.encoders import encoders
from intertwine.cli.extract import extract
from intertwine.cli.fit import fit
from intertwine.cli.inspect import inspect
from intertwine.cli.merge import merge
from intertwine.cli.migrate import migrate
from intertwine.cli.moments import moments
from intertwine.console import options as common
from intertwine.studies.closed_set.command import closed_set
from intertwine.studies.linkage.command import linkage
from intertwine.studies.open_set.command import open_set
from intertwine.studies.plan.command import plan
from intertwine.studies.similarity.command import similarity
from intertwine.wording import named, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["app", "main"]

# What Ctrl-C leaves behind: most commands go on, some begin again or are too short to.
_GOES_ON = "the same command goes on from here"
_NO_REPORT, _NOTHING = "no report was written", "nothing was written"
_STOPPED = {
    "demo": "the same command begins the study again",
    "closed-set": _NO_REPORT,
    "plan": _NO_REPORT,
    "encoders": _NOTHING,
    "merge": _NOTHING,
    "convert-checkpoint": _NOTHING,
    "inspect": _NOTHING,
}
# Typer offers it under the names of its own kinds only.
_USAGE_ERROR: Any = typer.BadParameter.__base__
# How the help shows a value of each type; others by the name of their option.
_VALUES = {int: "N", float: "NUMBER", Path: "PATH", bool: ""}


class Program(TyperGroup):
    """The program itself."""

    def get_params(self, ctx: Any) -> Any:
        """Return the options."""
        return _without_types(super().get_params(ctx))


def _without_types(parameters: Any) -> Any:
    """Return parameters that the help shows without types of Python's."""
    for each in parameters:
        if getattr(each, "is_flag", False) and each.metavar is None:
            each.metavar = ""
        elif each.param_type_name == "argument":
            each.display_type_rich = lambda ctx: ""  # noqa: ARG005
    return parameters


app = typer.Typer(
    name="intertwine",
    cls=Program,
    help="Learn, test and apply affine maps between the embedding spaces of neural networks. "
    "Any command takes --debug for a traceback.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from intertwine.extras import installed_version

        common.print_line(f"intertwine {installed_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    del version  # printed while the command line is read


class Command(TyperCommand):
    """A command that says what to do where it is used wrongly, and what Ctrl-C leaves."""

    def get_params(self, ctx: Any) -> Any:
        """Return the options and arguments."""
        return _without_types(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Parse the command line; where an option for one value got several, the error says what to type."""
        try:
            return super().parse_args(ctx, args)
        except _USAGE_ERROR as error:
            if "unexpected extra argument" in error.message:
                error.message += (
                    ". An option takes one value: repeat it for several, as in --fit A --fit B"
                )
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C ends it with exit code 130 and one line."""
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            if not _interrupted(error):
                raise
            common.print_note(f"intertwine: stopped; {_STOPPED.get(str(self.name), _GOES_ON)}")
            raise typer.Exit(130) from error


def _add(command: Callable[..., None]) -> None:
    """Add a command to the program, with options whose values the help names in words.

    Typer would show a type of Python's, or all choices between bars, broken wherever a line ends.
    """
    hints = get_type_hints(command, include_extras=True)
    # Annotations are texts until now, of which each reading would make new options.
    command.__annotations__.update(hints)
    for name, hint in hints.items():
        values = [each for each in get_args(hint)[1:] if isinstance(each, ParameterInfo)]
        if not values or values[0].metavar is not None:
            continue
        info, of = values[0], _value_type(get_args(hint)[0])
        info.metavar = _VALUES.get(of, name.upper().replace("_", "-"))
        if issubclass(of, Enum):
            info.help = f"{info.help} One of {named(each.value for each in of)}."
    app.command(cls=Command)(command)


def _value_type(annotation: Any) -> type:
    """Return the type of one value of an option that may be absent or repeated."""
    if isinstance(annotation, type):
        return annotation
    return _value_type(next(each for each in get_args(annotation) if each is not type(None)))


for command in (
    demo,
    encoders,
    extract,
    fit,
    apply,
    closed_set,
    open_set,
    similarity,
    linkage,
    plan,
    migrate,
    moments,
    merge,
    convert_checkpoint,
    inspect,
):
    _add(command)


def main() -> NoReturn:
    """Run the command line: exit 0, 1 on a user's error, 2 on wrong usage, 130 on Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a sign gets a question mark, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    common.typed[:] = arguments
    try:
        with common.held:
            app(arguments, prog_name="intertwine")
    except (Exception, KeyboardInterrupt) as error:
        if _interrupted(error):
            sys.exit(130)
        line = _line(error)
        if debug or line is None:
            raise
        _fail(line)
    finally:
        common.typed.clear()
    sys.exit(0)


def _interrupted(error: BaseException | None) -> bool:
    """Return whether an error began with Ctrl-C.

    An interrupt inside one of the standard library's locks comes out as a RuntimeError about it.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _line(error: BaseException) -> str | None:
    """Return the line that a user reads, or None for an error that is not the user's."""
    from intertwine.errors import IntertwineError

    if isinstance(error, IntertwineError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'cannot read or write'}: {error.strerror or error}"
    if isinstance(error, MemoryError):
        return f"not enough memory ({one_line(error)}); use --precision float32 or fewer spaces"
    return None


def _fail(message: str) -> NoReturn:
    """Print one line on standard error and exit."""
    common.print_note(f"intertwine: error: {' '.join(message.split())}")
    sys.exit(1)
