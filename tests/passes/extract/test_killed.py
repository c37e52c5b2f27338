"""Kills at random moments of an extraction, by the command line, and not a byte differs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from tests.kills import commands, contents

N = 40


@pytest.fixture(scope="module")
def server():
    """Return what starts commands and kills them once they hold the set's folder."""
    with commands("tests.passes.extract.extract_begun", begun=True) as started:
        yield started


def with_kills(server, arguments, out, before, seconds, chance):
    """Run a command from `before` to its end with kills; return their number."""
    shutil.rmtree(out, ignore_errors=True)
    if before is not None:
        shutil.copytree(before, out)
    return server.run_with_kills(*arguments, "--out", out, seconds=seconds, chance=chance)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("skip_bad", "number"),
    [
        (True, 3),
        *(pytest.param(skip_bad, 10, marks=pytest.mark.slow) for skip_bad in (False, True)),
    ],
)
def test_byte_identical(server, tmp_path, write_images, write_network, skip_bad, number):
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
    while kills < number:
        kills += with_kills(server, [*options, *first], out, None, seconds, chance)
        assert contents(out) == contents(one)
        kills += with_kills(server, [*options, *both], out, one, seconds_more, chance)
        assert contents(out) == contents(two)
    assert json.loads((out / "feature_set.json").read_text())["rows"] == N - skip_bad
