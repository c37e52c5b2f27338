"""Twenty kills at random moments of an extraction, by the command line, and not a byte differs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

KILLS = 10  # of each kind of extraction
N = 40


class Server:
    """Starts commands as processes of their own.

    Parameters
    ----------
    process
        The running `command_server.py`.
    """

    def __init__(self, process):
        self._process = process

    def start(self, *arguments) -> int:
        """Start a command; return its process id once it holds the set's folder."""
        self._process.stdin.write(json.dumps([str(value) for value in arguments]) + "\n")
        self._process.stdin.flush()
        process = int(self._process.stdout.readline())
        assert self._process.stdout.readline() == "begun\n"
        return process

    def wait(self) -> int:
        """Return the exit code of the command that was started, when it ends."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def run(self, *arguments) -> float:
        """Run a command that must succeed; return for how long it held the set's folder."""
        self.start(*arguments)
        began = time.monotonic()
        assert self.wait() == 0
        return time.monotonic() - began


@pytest.fixture(scope="module")
def server():
    """Return a server of commands."""
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("command_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield Server(process)
        process.stdin.close()


def contents(folder):
    """Return the bytes of every file of a set, hidden ones too."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def with_kills(server, arguments, out, before, seconds, chance):
    """Run a command from `before` to its end with kills; return their number."""
    shutil.rmtree(out, ignore_errors=True)
    if before is not None:
        shutil.copytree(before, out)
    kills = 0
    while True:
        process = server.start(*arguments, "--out", out)
        time.sleep(chance.uniform(0, seconds))
        os.kill(process, signal.SIGKILL)
        code = server.wait()
        if code == 0:
            return kills
        assert code == -signal.SIGKILL
        kills += 1


@pytest.mark.parametrize("skip_bad", [False, True], ids=["whole", "skip-bad"])
def test_byte_identical(server, tmp_path, write_images, write_network, skip_bad):
    """However often it is killed, a set with an encoder added is that of runs without a kill."""
    images = write_images(tmp_path / "images", N)
    first = ["--encoder", f"onnx:{write_network(tmp_path / 'a.onnx', seed=1)}"]
    both = [*first, "--encoder", f"onnx:{write_network(tmp_path / 'b.onnx', seed=2, width=9)}"]
    options = ["extract", images, "--batch-size", 2, "--threads", 1]
    if skip_bad:
        (images / "0031.png").write_bytes((images / "0031.png").read_bytes()[:70])
        options.append("--skip-bad")
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "out"
    seconds = server.run(*options, *first, "--out", one)
    shutil.copytree(one, two)
    seconds_more = server.run(*options, *both, "--out", two)
    chance, kills = np.random.default_rng(0), 0
    while kills < KILLS:
        kills += with_kills(server, [*options, *first], out, None, seconds, chance)
        assert contents(out) == contents(one)
        kills += with_kills(server, [*options, *both], out, one, seconds_more, chance)
        assert contents(out) == contents(two)
    assert json.loads((out / "feature_set.json").read_text())["rows"] == N - skip_bad
