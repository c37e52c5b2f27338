"""How far the work is, on standard error."""

from __future__ import annotations

import io
import sys

import pytest

from intertwine.console import progress as module
from intertwine.console.progress import progress


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def terminal(monkeypatch):
    """Return a terminal that takes the place of standard error."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return made


def test_plain_lines(capsys, monkeypatch):
    """Elsewhere than on a terminal a line comes every ten seconds, on standard error only."""
    clock = iter([0.0, 1.0, 9.0, 10.5, 10.5, 12.0, 20.6, 20.6])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with progress() as report:
        for done in range(1, 6):
            report("mapping", done, 5)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "mapping: 3 of 5\nmapping: 5 of 5\n"


@pytest.mark.parametrize(
    ("total", "left"), [(4000, "1:52"), (512, "0:00"), (4_000_000, "35:35:09")]
)
def test_plain_rate(capsys, monkeypatch, total, left):
    """With a rate, a plain line says how many a second are done, and how long the rest takes."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with progress(rate=True) as report:
        report("extracting", 0, total)
        now[0] = 16.4
        report("extracting", 512, total)
    assert capsys.readouterr().err == (f"extracting 512/{total:,}, 31.2 a second, {left} left\n")


def test_bar(monkeypatch):
    """On a terminal there is a bar for each stage of the work, on standard error."""
    shown = terminal(monkeypatch)
    with progress() as report:
        report("joint moments", 1, 2)
        report("joint moments", 2, 2)
        report("fitting", 1, 1)
    assert "joint moments" in shown.getvalue()
    assert "2/2" in shown.getvalue()
    assert "fitting" in shown.getvalue()
    assert "/s" not in shown.getvalue()


def test_bar_with_rate(monkeypatch):
    """With a rate, the bar says how many a second are done since it began."""
    shown = terminal(monkeypatch)
    now = [0.0]
    with progress(rate=True) as report:
        monkeypatch.setattr(module, "time", type("Clock", (), {"monotonic": lambda: now[0]}))
        report("extracting", 100, 1000)
        now[0] = 10.0
        report("extracting", 350, 1000)
    assert "25.0/s" in shown.getvalue()
