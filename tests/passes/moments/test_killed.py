"""Kills at random moments of each command that makes moments, and not a byte differs."""

import shutil

import numpy as np
import pytest
from tests.kills import commands, contents, numbers_of_kills

N = 160_000


@pytest.fixture(scope="module")
def server():
    """Return what starts commands, with their modules there already."""
    with commands("intertwine.passes.fit", "intertwine.parallel.workers") as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_folder):
    """Return a feature set over which one pass takes about a second."""
    rng = np.random.default_rng(0)
    spaces = {
        name: rng.standard_normal((N, d), np.float32) for name, d in {"a": 70, "b": 50}.items()
    }
    return write_folder(tmp_path_factory.mktemp("set") / "set", spaces)


@pytest.mark.quick("moments-3")
@pytest.mark.parametrize("number", numbers_of_kills(50))
@pytest.mark.parametrize("command", ["moments", "fit"])
def test_byte_identical(server, folder, tmp_path, command, number):
    """However often it is killed, what a command writes is what a run without a kill writes."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    name = "m.safetensors" if command == "moments" else "maps"
    options = [command, folder, "--checkpoint", 0, "--precision", "float64"]
    options += ["--alpha", "gcv"] if command == "fit" else []
    seconds = server.run(*options, "--out", whole / name)
    chance, kills = np.random.default_rng(1), 0
    while kills < number:
        shutil.rmtree(out, ignore_errors=True)
        kills += server.run_with_kills(
            *options, "--out", out / name, seconds=seconds, chance=chance, most=min(15, number)
        )
        assert contents(out) == contents(whole)


@pytest.mark.slow
def test_byte_identical_over_workers(server, folder, tmp_path):
    """Killed while processes share its rows, a command goes on with their parts, to the same bytes."""
    options = ["moments", folder, "--precision", "float64", "--workers", 2]
    seconds = server.run(*options, "--out", tmp_path / "whole" / "m")
    chance, kills = np.random.default_rng(2), 0
    while kills < 10:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        kills += server.run_with_kills(
            *options,
            "--out",
            tmp_path / "out" / "m",
            seconds=seconds,
            chance=chance,
            most=5,
        )
        assert contents(tmp_path / "out") == contents(tmp_path / "whole")
