"""Runs `intertwine` commands as processes of their own that are there at once, to be killed.

`python command_server.py` imports what extraction needs, then reads command lines as JSON lists, one
a line. For each it forks a process that runs the command and prints that process's id, then `begun`
once it holds the set's folder; at the next line it waits for its end and prints the exit code
(negative: the signal that ended it). Rows are committed after every batch.
"""

from __future__ import annotations

import json
import os
import sys

import onnx  # noqa: F401 - so that no process has to import it
import onnxruntime  # noqa: F401
import PIL.Image  # noqa: F401

from intertwine.cli import main
from intertwine.encoders import onnx as onnx_encoders  # noqa: F401
from intertwine.features import opening
from intertwine.passes import extract, extract_run  # noqa: F401


def serve() -> None:
    """Run one command after the other."""
    extract_run.COMMIT_SECONDS = 0
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
    answers, lock_folder = os.dup(1), opening.lock_folder
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def lock_and_say(*values: object, **options: object) -> object:
        lock = lock_folder(*values, **options)
        os.write(answers, b"begun\n")
        return lock

    opening.lock_folder = lock_and_say
    code = 1
    try:
        main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
