"""Two runs that write one output: one of them does it whole, the other says who holds it."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from intertwine.maps.linear_map import LinearMap
from intertwine.spaces import Space
from intertwine.storage.locks import lock_of, one_run

MAIN = "from intertwine.cli import main; main()"
ROWS = np.random.default_rng(0).standard_normal((60_000, 64)).astype(np.float32)


def make_map(path, seed):
    """Write a drawn map of 64 dimensions into 128; return it."""
    weight = np.random.default_rng(seed).standard_normal((128, 64))
    LinearMap(weight, np.zeros(128), Space("a", 64), Space("b", 128), "drawn").save(path)
    return LinearMap.load(path)


def start(*arguments):
    """Start a command as a process of its own."""
    command = [sys.executable, "-c", MAIN, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_maps_into_one_file_at_once(tmp_path):
    """Who exits with 0 wrote what stands there; the other one exits with 1 and one line."""
    np.save(tmp_path / "in.npy", ROWS)
    maps = [make_map(tmp_path / f"{i}.safetensors", i) for i in range(2)]
    runs = [
        start("apply", tmp_path / f"{i}.safetensors", tmp_path / "in.npy", tmp_path / "x.npy")
        for i in range(2)
    ]
    errors = [run.communicate()[1] for run in runs]
    codes = [run.returncode for run in runs]
    assert set(codes) <= {0, 1}
    assert 0 in codes
    found = np.load(tmp_path / "x.npy")
    whole = [np.allclose(found, drawn.apply(ROWS), atol=1e-3) for drawn in maps]
    for code, error, right in zip(codes, errors, whole, strict=True):
        if code:
            assert "x.npy: another run is writing it (process " in error
            assert error.strip().count("\n") == 0
        elif 1 in codes:
            assert right
    assert any(whole)
    assert not [path.name for path in tmp_path.iterdir() if path.name[0] == "."]


def arguments_of(command, folder):
    """Return a command's arguments that write `folder / "out"`."""
    pair, out = folder / "set", folder / "out"
    return {
        "apply": [folder / "a--b.safetensors", pair / "a.npy", folder / "out.npy"],
        "moments": [pair, "--out", out],
        "merge": [folder / "part", "--out", out],
        "fit": [pair, "--out", out],
        "closed-set": ["--fit", pair, "--eval", pair, "--out", out],
        "similarity": [pair, "--out", out],
        "open-set": [pair, "--pairs", folder / "pairs.txt", "--out", out],
        "linkage": ["--gallery", pair, "--probe", pair, "--out", out],
        "plan": ["--pairs", pair, "--source", "a", "--target", "b", "--out", out],
        "demo": ["--out", out],
        "migrate": [
            f"npy:{pair / 'a.npy'}",
            f"npy:{folder / 'out.npy'}",
            "--map",
            folder / "a--b.safetensors",
        ],
    }[command]


COMMANDS = ["apply", "moments", "merge", "fit", "closed-set", "similarity", "open-set", "linkage"]


@pytest.mark.quick("open-set")
@pytest.mark.parametrize("command", [*COMMANDS, "plan", "demo", "migrate"])
def test_a_second_run_is_refused_and_changes_nothing(intertwine, networks, tmp_path, command):
    """One line names the output and its holder; the moment that it is released the command runs."""
    networks({"a": 64, "b": 64}).save(tmp_path / "set", 300, 1)
    make_map(tmp_path / "a--b.safetensors", 0)
    assert intertwine("fit", tmp_path / "set", "--out", tmp_path).code == 0
    assert intertwine("moments", tmp_path / "set", "--out", tmp_path / "part").code == 0
    arguments = arguments_of(command, tmp_path)
    out = tmp_path / ("out.npy" if command in {"apply", "migrate"} else "out")
    with one_run(out):
        before = sorted(tmp_path.rglob("*"))
        error = intertwine(command, *arguments).error()
        assert f"{out}: another run is writing it (process " in error
        assert sorted(tmp_path.rglob("*")) == before
    if command in {"apply", "moments", "merge", "fit", "migrate"}:
        assert intertwine(command, *arguments).code == 0
        assert out.exists()
    assert not lock_of(out).exists()


def test_files_of_one_stem_are_made_side_by_side(intertwine, tmp_path):
    """What a killed run left of x.npy is not touched by a run that writes x.safetensors."""
    np.save(tmp_path / "in.npy", ROWS[:2000])
    drawn = make_map(tmp_path / "m.safetensors", 1)
    partial = tmp_path / ".x.npy.partial.npy"
    partial.write_bytes(b"rows so far")
    arguments = ["apply", tmp_path / "m.safetensors", tmp_path / "in.npy"]
    with one_run(tmp_path / "x.npy"):
        assert intertwine(*arguments, tmp_path / "x.safetensors").code == 0
    assert partial.read_bytes() == b"rows so far"
    assert intertwine(*arguments, tmp_path / "x.npy").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), drawn.apply(ROWS[:2000]), atol=1e-4)


@pytest.mark.slow
def test_a_kill_releases_the_output(intertwine, tmp_path):
    """A run that was killed while it held its output leaves a lock that nobody holds."""
    np.save(tmp_path / "in.npy", ROWS)
    make_map(tmp_path / "m.safetensors", 1)
    arguments = ["apply", tmp_path / "m.safetensors", tmp_path / "in.npy", tmp_path / "x.npy"]
    with start(*arguments) as run:
        while not lock_of(tmp_path / "x.npy").exists() and run.poll() is None:
            time.sleep(0.001)
        run.send_signal(signal.SIGKILL)
    assert intertwine(*arguments, "--json").code == 0
    assert not lock_of(tmp_path / "x.npy").exists()


def test_a_file_that_changes_while_it_is_mapped_is_refused(tmp_path):
    """Rows of two states never stand in one output."""
    from intertwine.errors import InputError
    from intertwine.passes.apply import apply_file

    np.save(tmp_path / "in.npy", ROWS[:5000])
    make_map(tmp_path / "m.safetensors", 1)

    def change(done, total):
        if done == total:
            np.save(tmp_path / "in.npy", -ROWS[:5000])

    with pytest.raises(InputError, match="has changed while it was mapped"):
        apply_file(
            tmp_path / "m.safetensors", tmp_path / "in.npy", tmp_path / "x.npy", progress=change
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npy", "m.safetensors"]


def test_the_note_of_a_lock_is_read_by_others(tmp_path):
    """A holder's process, host and beginning stand in it."""
    with one_run(tmp_path / "x"):
        assert json.loads(lock_of(tmp_path / "x").read_text())["process"] > 0


@pytest.fixture
def fitted(intertwine, networks, tmp_path):
    """Return a folder with a feature set `set`, the maps `maps` between its spaces, and moments."""
    networks({"a": 6, "b": 5}).save(tmp_path / "set", 90, 1)
    assert intertwine("fit", tmp_path / "set", "--out", tmp_path / "maps").code == 0
    (tmp_path / "maps-of-moments").mkdir()
    moments = tmp_path / "maps-of-moments/a--b.safetensors"
    assert intertwine("moments", tmp_path / "set", "--out", moments).code == 0
    np.save(tmp_path / "v.npy", np.load(tmp_path / "set/a.npy"))
    (tmp_path / "link.npy").symlink_to("v.npy")
    return tmp_path


def contents(folder):
    """Return every file's bytes by name."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "arguments",
    [
        "apply MAP v.npy no-folder/../v.npy",
        "apply MAP v.npy link.npy",
        "apply MAP link.npy v.npy",
        "apply MAP v.npy MAP",
        "apply MAP set set/a.npy",
        "apply MAP set set/b.npy",
        "apply MAP set set/labels.npy",
        "apply MAP set set/../set/./a.npy",
        "moments set --out set/a.npy",
        "moments set --out set/ids.txt",
        "fit maps-of-moments/a--b.safetensors --out maps-of-moments",
        "merge maps-of-moments/a--b.safetensors --out ./maps-of-moments/a--b.safetensors",
    ],
)
def test_an_input_is_never_written_over(intertwine, fitted, monkeypatch, arguments):
    """Neither by another name of it, nor as a file of a set, nor the map itself."""
    monkeypatch.chdir(fitted)
    before = contents(fitted)
    words = ["maps/a--b.safetensors" if word == "MAP" else word for word in arguments.split()]
    assert "expected another name to write" in intertwine(*words).error()
    assert contents(fitted) == before
    assert not (fitted / "no-folder").exists()


@pytest.mark.parametrize(("out", "where"), [("", "is"), ("/new", "lies in"), ("/./", "is")])
@pytest.mark.parametrize(
    ("command", "read"),
    [
        ("fit set", "set"),
        ("fit other set", "set"),
        ("extract images --encoder onnx:absent.onnx", "images"),
        ("open-set set --pairs absent.csv --fit ./maps", "maps"),
    ],
)
def test_a_folder_that_is_read_is_not_written_into(
    intertwine, fitted, monkeypatch, write_images, command, read, out, where
):
    """A folder to write that is, or lies in, one that is read is refused before anything is read."""
    monkeypatch.chdir(fitted)
    write_images(fitted / "images", 3)
    (fitted / "other").mkdir()
    before = contents(fitted)
    error = intertwine(*command.split(), "--out", f"{read}{out}").error()
    assert error.endswith(f"which {where} the input {read}; name another folder (--out)")
    assert contents(fitted) == before
    assert not (fitted / f"{read}/new").exists()


def test_a_set_takes_what_is_not_its_own(intertwine, fitted, monkeypatch):
    """A new space, and moments written once more, may stand in the folder of the set."""
    monkeypatch.chdir(fitted)
    assert intertwine("apply", "maps/a--b.safetensors", "set", "set/c.npy").code == 0
    for _ in range(2):
        arguments = ["moments", "set", "--space", "a", "--out", "set/moments.safetensors"]
        assert intertwine(*arguments).code == 0
