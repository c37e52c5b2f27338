"""How far the work is, on standard error."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intertwine.parallel.progress import Progress

# Seconds between plain lines where there is no terminal.
PLAIN_SECONDS = 10.0


@contextmanager
def progress(*, rate: bool = False) -> Iterator[Progress]:
    """Show progress on standard error: a bar on a terminal, a plain line now and then elsewhere.

    Yields a function of (what, done, total); `rate` adds how many a second are done.
    """
    if not sys.stderr.isatty():
        yield _plain_progress(rate=rate)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:24}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([TextColumn("{task.fields[rate]}")] if rate else []),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}
        clock = _Clock()

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total, rate="")
            speed = clock.rate(what, done)
            shown = f"{speed:.1f}/s" if speed else ""
            bar.update(tasks[what], completed=done, total=total, rate=shown)

        yield report


class _Clock:
    """The rate of each stage of the work, from its first report on."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, int]] = {}

    def rate(self, what: str, done: int) -> float:
        """Return how many a second are done; 0 while that is unknown."""
        now = time.monotonic()
        began, before = self._first.setdefault(what, (now, done))
        return (done - before) / (now - began) if now > began else 0.0


def _plain_progress(*, rate: bool) -> Progress:
    clock = _Clock()
    last = time.monotonic()

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        speed = clock.rate(what, done) if rate else 0.0
        if time.monotonic() - last < PLAIN_SECONDS:
            return
        last = time.monotonic()
        line = f"{what}: {done} of {total}"
        if speed:
            left = _time_text((total - done) / speed)
            line = f"{what} {done:,}/{total:,}, {speed:.1f} a second, {left} left"
        print(line, file=sys.stderr)

    return report


def _time_text(seconds: float) -> str:
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
