"""Several processes that fill one set at the same time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.parallel.workers import fill_and_die

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.parallel.workers import Workers, open_workers
from intertwine.passes.extract.extract import extract

N = 70
OPTIONS = {"batch_size": 4, "threads": 1}
# Edges that lie on no edge of a batch.
PARTS = [(0, 23), (23, 41), (41, N)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, write_images, write_network):
    """Return a folder of images and two encoder URIs."""
    folder = tmp_path_factory.mktemp("fill")
    uris = [
        f"onnx:{write_network(folder / 'a.onnx', seed=1)}",
        f"onnx:{write_network(folder / 'b.onnx', seed=2, width=9)}?resize=centre:9",
    ]
    return write_images(folder / "images", N), uris


def contents(folder):
    """Return the bytes of every file of a set."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def start(inputs, out, part):
    """Start a process that fills a part, slowly, and says so before each batch."""
    code = (
        "import time; from intertwine.passes.extract import extract as module, run; "
        "run.COMMIT_SECONDS = 0; input(); "
        f"module.extract({str(inputs[0])!r}, {inputs[1]!r}, {str(out)!r}, batch_size=4, threads=1, "
        f"fill={part!r}, progress=lambda d, n: (print(d, flush=True), time.sleep(0.02)))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", f"print('ready', flush=True); {code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_one_of_three_killed(inputs, tmp_path):
    """Three processes at once, one of them killed and begun again, make what a single run makes."""
    out = tmp_path / "set"
    runs = [start(inputs, out, part) for part in PARTS]
    for run in runs:
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        run.stdin.write("\n")
        run.stdin.flush()
    for _ in range(3):
        runs[1].stdout.readline()
    runs[1].send_signal(signal.SIGKILL)
    for run in runs:
        run.communicate()
    assert [run.returncode for run in runs] == [0, -signal.SIGKILL, 0]
    kept = json.loads((out / ".fill-23-41.json").read_text())["spaces"]["a"]["complete"]
    assert kept[0][0] == 23
    with pytest.raises(InputError, match=r"space [ab] lacks .* of 70 rows"):
        FeatureSet.open(out)
    left = extract(*inputs, out, **OPTIONS, fill=PARTS[1])["extracted"]
    assert 0 < left < 18
    extract(*inputs, tmp_path / "single", **OPTIONS)
    for name in ("a", "b"):
        np.testing.assert_array_equal(
            FeatureSet.open(out).read([name], range(N))[name],
            np.load(tmp_path / "single" / f"{name}.npy"),
        )
    assert extract(*inputs, out, **OPTIONS)["extracted"] == 0
    assert contents(out) == contents(tmp_path / "single")


@pytest.mark.slow
def test_bad_images(inputs, tmp_path, write_images):
    """Bad images of any part are left out by the last call, as by a single run."""
    images = write_images(tmp_path / "images", N)
    for name in ("0022.png", "0050.png"):
        (images / name).write_bytes(b"no image")
    with pytest.raises(InputError, match=r"0022\.png: not a readable image"):
        extract(images, inputs[1], tmp_path / "set", **OPTIONS, fill=PARTS[0])
    # A neighbour's bad image at the edge of a batch is the neighbour's.
    extract(images, inputs[1], tmp_path / "set", **OPTIONS, fill=PARTS[1])
    for part in PARTS:
        extract(images, inputs[1], tmp_path / "set", **OPTIONS, fill=part, skip_bad=True)
    summary = extract(images, inputs[1], tmp_path / "set", **OPTIONS, skip_bad=True)
    assert (summary["rows"], summary["extracted"]) == (N - 2, 0)
    extract(images, inputs[1], tmp_path / "single", **OPTIONS, skip_bad=True)
    assert contents(tmp_path / "set") == contents(tmp_path / "single")


def test_faces(inputs, tmp_path):
    """Faces are kept in one file, so an encoder that crops them is refused in parts."""
    with pytest.raises(InputError, match="got --fill with encoder a, which crops faces"):
        extract(inputs[0], [f"{inputs[1][0]}?face=box:2"], tmp_path / "set", fill=(0, 9))
    assert not (tmp_path / "set").exists()


def test_faces_over_workers(inputs, tmp_path):
    """Workers too would share the file of faces, so they are refused; and so are parts over them."""
    with ThreadPoolExecutor(1) as executor:
        options = {"workers": Workers(executor, count=1)}
        with pytest.raises(InputError, match="got workers with encoder a, which crops faces"):
            extract(inputs[0], [f"{inputs[1][0]}?face=box:2"], tmp_path / "set", **options)
        with pytest.raises(InputError, match="got --fill and workers, expected one of them"):
            extract(*inputs, tmp_path / "set", fill=(0, 9), **options)
    assert not (tmp_path / "set").exists()


def test_a_killed_worker_costs_what_it_had_in_hand(inputs, tmp_path, monkeypatch):
    """With a worker killed amid its rows, the set is the bytes of a single run."""
    monkeypatch.setattr("intertwine.passes.extract.extract._fill", fill_and_die)
    with open_workers(2, None) as workers:
        extract(*inputs, tmp_path / "set", workers=workers, **OPTIONS)
    assert (tmp_path / "died").exists()
    extract(*inputs, tmp_path / "one", **OPTIONS)
    assert contents(tmp_path / "set") == contents(tmp_path / "one")


@pytest.mark.slow
def test_workers_make_what_one_process_makes(inputs, tmp_path):
    """Rows shared out over processes, or a thread, give the bytes of a single run."""
    extract(*inputs, tmp_path / "one", **OPTIONS)
    seen = []
    with open_workers(2, None) as workers:
        summary = extract(
            *inputs,
            tmp_path / "two",
            workers=workers,
            progress=lambda *step: seen.append(step),
            **OPTIONS,
        )
    assert (N, N) in seen
    assert summary["rows"] == N
    with ThreadPoolExecutor(1) as executor:
        extract(*inputs, tmp_path / "three", workers=Workers(executor, count=1), **OPTIONS)
    whole = contents(tmp_path / "one")
    assert contents(tmp_path / "two") == whole == contents(tmp_path / "three")
