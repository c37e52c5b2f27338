"""Work for workers: functions that other processes can import."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from intertwine.errors import InputError


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
