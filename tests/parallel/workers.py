"""Work for workers: functions that other processes can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from intertwine.errors import InputError
from intertwine.passes.extract import extract
from intertwine.passes.extract import run as extract_run


def double(number: int) -> int:
    """Return twice a number."""
    return 2 * number


def refuse(number: int) -> int:
    """Refuse one number."""
    if number == 3:
        raise InputError("got 3, expected another")
    return number


def die_once(piece: tuple[int, str]) -> int:
    """Kill this process the first time that a piece is met, and note every run of it."""
    number, folder = piece
    note = Path(folder) / f"{number}.txt"
    first = not note.exists()
    with note.open("a") as file:
        file.write("run\n")
    if first and number % 3 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(_: int) -> int:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def cores(_: int) -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def wait_for(piece: tuple[int, str]) -> int:
    """Note that a piece is begun, and wait for the file that lets the first end."""
    number, folder = piece
    Path(folder, f"begun {number}").touch()
    while number == 0 and not Path(folder, "go").exists():
        time.sleep(0.01)
    return number


def fill_and_die(
    source: str, uris: list[str], out: str, call: dict[str, Any], rows: tuple[int, int]
) -> int:
    """Extract rows of a set; whoever gets the first rows first is killed after three commits."""
    note = Path(out).with_name("died")
    if rows[0] == 0 and not note.exists():
        note.touch()
        extract_run.COMMIT_SECONDS = 0
        commit, left = extract_run.ExtractRun._commit, iter(range(3))

        def commit_and_die(run: extract_run.ExtractRun) -> None:
            commit(run)
            if next(left) == 2:
                os.kill(os.getpid(), signal.SIGKILL)

        extract_run.ExtractRun._commit = commit_and_die
    return extract._fill(source, uris, out, call, rows)
