"""Runs `intertwine` commands as processes of their own that are there at once, to be killed.

`python kill_server.py MODULE ...` imports modules, then reads command lines as JSON lists, one a line.
For each it forks a process that runs the command and prints that process's id; at the next line it
waits for its end and prints the exit code (negative: the signal that ended it).
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

from tests.torchvision_operators import declare_operators

from intertwine.cli import main


def serve() -> None:
    """Run one command after the other."""
    say("ready")
    while line := sys.stdin.readline():
        process = os.fork()
        if not process:
            run(json.loads(line))
        say(process)
        # Until its end is asked for, the process's id stays its own, whether it lives or not.
        sys.stdin.readline()
        say(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))


def say(value: object) -> None:
    """Print a line at once."""
    print(value, flush=True)  # noqa: T201


def run(arguments: list[str]) -> None:
    """Run a command; its own output goes nowhere, its errors where the server's go."""
    sys.argv = ["intertwine", *arguments]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    code = 1
    try:
        main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    declare_operators()
    for name in sys.argv[1:]:
        import_module(name)
    serve()
