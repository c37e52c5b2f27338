"""The command line, run in this process or as the installed command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from intertwine.console import progress

# A line of progress, which only a slow machine is shown: it is left out of what a command says.
PROGRESS = re.compile(r"[\w ]+: \d+ of \d+$")


@dataclass
class Done:
    """What a command left."""

    code: int
    out: str
    err: str

    def json(self):
        """Return the one JSON object on standard output."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))

    def error(self) -> str:
        """Return the one line of a user's error."""
        assert self.code == 1, (self.out, self.err)
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("intertwine: error: ")
        assert "Traceback" not in line
        return line


@pytest.fixture
def intertwine(monkeypatch, capsys):
    """Return a function that runs a command line in this process."""

    def run(*arguments) -> Done:
        from intertwine.cli import main

        monkeypatch.setattr(sys, "argv", ["intertwine", *map(str, arguments)])
        # However slow the machine is, no line of progress is among what a command says.
        monkeypatch.setattr(progress, "PLAIN_SECONDS", float("inf"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return Done(stop.value.code, out, err)

    return run


@pytest.fixture(scope="session")
def command() -> str:
    """Return the path of the installed command."""
    return str(Path(sys.executable).with_name("intertwine"))


@pytest.fixture(scope="session")
def installed(command):
    """Return a function that runs the installed command as a process of its own."""

    def run(*arguments, environment=None, **options) -> Done:
        done = subprocess.run(
            [command, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
            **options,
        )
        lines = done.stderr.splitlines(keepends=True)
        said = [line for line in lines if not PROGRESS.match(line.rstrip("\n"))]
        return Done(done.returncode, done.stdout, "".join(said))

    return run


@pytest.fixture
def undrawn(monkeypatch):
    """Leave reports out: what a command finds is in its JSON object."""
    for study in ("closed_set", "linkage", "open_set", "plan", "similarity"):
        monkeypatch.setattr(
            f"intertwine.studies.{study}.report.write_{study}_report",
            lambda _, folder: folder / "report.html",
        )


def tree(folder: Path) -> list[str]:
    """Return every file below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def files_below():
    """Return the function that lists every file below a folder."""
    return tree


@pytest.fixture(scope="session")
def study_folders(tmp_path_factory, networks):
    """Return folders `fit` and `eval` of three small networks with heads, labels and ids."""
    folder = tmp_path_factory.mktemp("study")
    nets = networks({"a": 12, "b": 9, "c": 14})
    nets.save(folder / "fit", 120, 1, prefix="f")
    nets.save(folder / "eval", 90, 2, prefix="e")
    return folder
