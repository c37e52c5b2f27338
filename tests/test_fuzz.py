"""Damaged files of every kind, some of each: `python tests/fuzz.py --count 200000` reads more."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
INPUTS, FEW, SEED = 10_000, 20, 20261130
# What a run of 200,000 once found: an error of several lines, and a batch of 268 million images.
FOUND = [("torch", 20261201, 870), ("onnx", 20261201, 267), ("tflite", 20261201, 347)]


def _script(name):
    """Return a script beside this file as a module, under the name that its children import."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_script("fuzz_networks")
KINDS = _script("fuzz_kinds").KINDS
fuzz = _script("fuzz")


def test_some_damaged_files_are_a_line_or_a_value():
    """Some damaged files of each kind that takes no large library, which one process reads."""
    assert not fuzz.read_few([name for name in KINDS if not KINDS[name].heavy], SEED, FEW)


@pytest.mark.parametrize(("name", "seed", "number"), FOUND)
def test_what_was_once_found_is_one_line(name, seed, number):
    """Damaged files that were once read wrongly are refused in one line."""
    counts, findings = fuzz.read_all(name, seed, number, number + 1)
    assert not findings
    assert counts == {"refused": 1}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_one_line_or_a_value(name):
    """No reader ends in a traceback, an abort or a hang, writes elsewhere, or starts a program."""
    share = fuzz.shares(INPUTS, KINDS)[name]
    counts, findings = fuzz.read_all(name, SEED, 0, share)
    assert not findings
    assert sum(counts.values()) == share
