"""The command line: one file a command, imported only when that command runs."""

from __future__ import annotations

import io
import sys
from typing import NoReturn

import typer

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

__all__ = ["app", "main"]

app = typer.Typer(
    name="intertwine",
    help="Learn, test and apply affine maps between the embedding spaces of neural networks. "
    "Any command takes --debug for a traceback.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
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
    app.command()(command)


def main() -> NoReturn:
    """Run the command line: exit 0, 1 on a user's error, 2 on wrong usage, 130 on Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a sign gets a question mark, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        with common.held:
            app(arguments)
    except (Exception, KeyboardInterrupt) as error:
        if _interrupted(error):
            sys.exit(130)
        line = _line(error)
        if debug or line is None:
            raise
        _fail(line)
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
        return f"not enough memory ({error}); use --precision float32 or fewer spaces"
    return None


def _fail(message: str) -> NoReturn:
    """Print one line on standard error and exit."""
    common.print_note(f"intertwine: error: {' '.join(message.split())}")
    sys.exit(1)
