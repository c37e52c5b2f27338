"""Peak memory does not grow with the number of rows."""

import os
import subprocess
import sys

import numpy as np
import pytest

from intertwine.spaces import Head

DIMS = {"a": 192, "b": 128}
SMALL, LARGE = 8_000, 64_000  # the large files hold 82 MB


def write_rows(folder, n, write_folder):
    """Write features of n rows, a chunk at a time."""
    rng = np.random.default_rng(0)
    heads = {a: Head(rng.standard_normal((20, d))) for a, d in DIMS.items()}
    features = {}
    for name, d in DIMS.items():
        tile = np.maximum(rng.standard_normal((4000, d)), 0).astype(np.float32)
        features[name] = np.tile(tile, (n // 4000, 1))
    write_folder(folder, features, heads=heads, labels=rng.integers(20, size=n))


@pytest.fixture(scope="module")
def sizes(tmp_path_factory, write_folder):
    """Return folders of n and of 8 n rows."""
    folders = {}
    for n in (SMALL, LARGE):
        folders[n] = tmp_path_factory.mktemp("rows") / str(n)
        write_rows(folders[n], n, write_folder)
    return folders


# A process starts with the peak of the one that forked it, so a small one stands between.
LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(process.returncode, usage.ru_maxrss)
"""


def peak(*command):
    """Return the peak resident memory of a command in KiB."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCHER, *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    code, kilobytes = map(int, done.stdout.split())
    assert code == 0
    return kilobytes


@pytest.mark.slow
@pytest.mark.parametrize("order", ["C", "F"])
def test_fit_takes_no_more_memory_for_more_rows(command, sizes, tmp_path, order):
    """`fit` on eight times the rows peaks within a few per cent, in either memory order."""
    if order == "F":
        sizes = column_major(sizes, tmp_path)
    peaks = [peak(command, "fit", sizes[n], "--out", tmp_path / str(n)) for n in (SMALL, LARGE)]
    assert peaks[1] < 1.05 * peaks[0], peaks


def column_major(sizes, tmp_path):
    """Return the same folders with column-major files."""
    folders = {}
    for n, folder in sizes.items():
        folders[n] = tmp_path / f"columns-{n}"
        folders[n].mkdir()
        for name in DIMS:
            np.save(folders[n] / f"{name}.npy", np.asfortranarray(np.load(folder / f"{name}.npy")))
    return folders


@pytest.mark.slow
def test_the_study_takes_no_more_memory_for_more_rows(command, sizes, tmp_path):
    """`closed-set` on eight times the rows, fitted and scored, peaks within a few per cent."""
    peaks = [
        peak(
            command,
            "closed-set",
            *("--fit", sizes[n], "--eval", sizes[n], "--out", tmp_path / str(n)),
            *("--curve-points", "3", "--json", "--allow-overlap"),
        )
        for n in (SMALL, LARGE)
    ]
    assert peaks[1] < 1.05 * peaks[0], peaks


@pytest.mark.slow
def test_similarity_takes_no_more_memory_for_more_rows(command, sizes, tmp_path):
    """`similarity` on eight times the rows, with measures on rows, peaks within a few per cent."""
    peaks = [
        peak(command, "similarity", sizes[n], "--out", tmp_path / str(n), "--sample", "1000")
        for n in (SMALL, LARGE)
    ]
    # A group of the smaller set is a tenth of a block of rows; nothing grows once blocks are full.
    assert peaks[1] < 1.08 * peaks[0], peaks
