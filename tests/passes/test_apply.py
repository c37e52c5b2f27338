import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from intertwine.errors import FileFormatError, InputError, SpaceMismatchError
from intertwine.estimators import FitOptions
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import load_map
from intertwine.passes import apply as passes
from intertwine.passes.apply import apply_file
from intertwine.passes.fit import fit_to_files
from intertwine.spaces import Space
from intertwine.vectors import partial_output

RNG = np.random.default_rng(0)


def names(folder):
    """Return the names of all files."""
    return sorted(path.name for path in folder.iterdir())


def hidden(folder):
    """Return the names of hidden files, which an unfinished run leaves."""
    return [name for name in names(folder) if name.startswith(".")]


def make_map(d_source, d_target, **facts):
    """Return some map from a to b."""
    weight = RNG.standard_normal((d_target, d_source)) / np.sqrt(d_source)
    return LinearMap(
        weight,
        RNG.standard_normal(d_target),
        Space("a", d_source),
        Space("b", d_target),
        "test",
        **facts,
    )


@pytest.fixture
def small(tmp_path):
    """Return a map without statistics and its file."""
    linear_map = make_map(6, 4)
    linear_map.save(tmp_path / "map.safetensors")
    return linear_map, tmp_path / "map.safetensors"


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
def test_maps_as_the_map_itself_does(tmp_path, small, dtype, order, monkeypatch):
    """The output is what the map makes of the rows, in the input's dtype, chunk by chunk."""
    monkeypatch.setattr(passes, "CHUNK_ROWS", 64)
    linear_map, file = small
    rows = np.asarray(RNG.standard_normal((200, 6)), dtype, order=order)
    np.save(tmp_path / "in.npy", rows)
    seen = []
    summary = apply_file(
        file, tmp_path / "in.npy", tmp_path / "out.npy", progress=lambda *step: seen.append(step)
    )
    native = np.dtype(dtype).newbyteorder("=")
    expected = linear_map.apply(rows.astype(native), out=np.empty((200, 4), native))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-3, atol=1e-6)
    assert np.load(tmp_path / "out.npy").dtype == native
    assert seen == [(64, 200), (128, 200), (192, 200), (200, 200)]
    assert (summary["rows"], summary["dtype"]) == (200, native.name)
    assert (summary["source"]["name"], summary["target"]["dim"]) == ("a", 4)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_may_be_chosen(tmp_path, small, dtype):
    """Another dtype than the input's is written when asked for."""
    linear_map, file = small
    rows = RNG.standard_normal((10, 6))
    np.save(tmp_path / "in.npy", rows)
    apply_file(file, tmp_path / "in.npy", tmp_path / "out.npy", dtype=dtype)
    written = np.load(tmp_path / "out.npy")
    assert written.dtype == dtype
    np.testing.assert_array_equal(written, linear_map.apply(rows).astype(dtype))


def test_a_pair_is_applied_as_one_map(tmp_path, networks):
    """The file of a pair of maps is applied through its shared space."""
    nets = networks({"a": 12, "b": 9})
    features, _ = nets.save(tmp_path / "set", 200, 1)
    options = FitOptions(method="cca", rank=5)
    fit_to_files([tmp_path / "set"], tmp_path, options=options, source="a", target="b")
    apply_file(
        tmp_path / "a--b.safetensors", tmp_path / "set", tmp_path / "out.npy", dtype="float64"
    )
    expected = load_map(tmp_path / "a--b.safetensors").apply(features["a"])
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-6, atol=1e-6)


def test_no_rows_give_no_rows(tmp_path, small):
    """An input of zero rows gives an output of zero rows and of the target's dimension."""
    np.save(tmp_path / "in.npy", np.empty((0, 6), np.float32))
    apply_file(small[1], tmp_path / "in.npy", tmp_path / "out.npy")
    assert np.load(tmp_path / "out.npy").shape == (0, 4)


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(("row", "value"), [(3, np.nan), (150, np.inf), (199, -np.inf)])
def test_rows_that_are_not_finite_are_named_and_nothing_is_left(
    tmp_path, small, row, value, monkeypatch
):
    """A row that is not finite is refused by its number in the file; no output stays behind."""
    monkeypatch.setattr(passes, "CHUNK_ROWS", 64)
    rows = RNG.standard_normal((200, 6))
    rows[row, 2] = value
    np.save(tmp_path / "in.npy", rows)
    with pytest.raises(InputError, match=f"NaN or infinite features in rows {row};"):
        apply_file(small[1], tmp_path / "in.npy", tmp_path / "out.npy")
    assert names(tmp_path) == ["in.npy", "map.safetensors"]


def test_numbers_that_do_not_fit_the_dtype_are_named(tmp_path, small, monkeypatch):
    """Mapped numbers beyond float16 are refused by row and dtype, and nothing is left."""
    monkeypatch.setattr(passes, "CHUNK_ROWS", 64)
    rows = np.ones((200, 6))
    rows[170] = 1e6
    np.save(tmp_path / "in.npy", rows)
    with pytest.raises(InputError, match="in float16: NaN or infinite features in rows 170;"):
        apply_file(small[1], tmp_path / "in.npy", tmp_path / "out.npy", dtype="float16")
    assert not (tmp_path / "out.npy").exists()
    assert hidden(tmp_path) == []


def test_refuses_another_dimension(tmp_path, small):
    """An array of another dimension is refused with both."""
    np.save(tmp_path / "in.npy", np.ones((5, 7)))
    with pytest.raises(InputError, match="got dimension 7, expected 6 for a"):
        apply_file(small[1], tmp_path / "in.npy", tmp_path / "out.npy", force=True)


@pytest.mark.parametrize(
    ("output", "dtype", "message"),
    [
        ("out.txt", None, r"expected a name that ends in one of \.npy"),
        ("folder.npy", None, "a folder, expected a file"),
        ("in.npy", None, "as input and output"),
        ("in.npy/out.npy", None, "cannot write .*out.npy"),
        ("out.npy", "float8", "got dtype 'float8', expected one of float16, float32, float64"),
    ],
)
def test_refuses_outputs_that_cannot_be_written(tmp_path, small, output, dtype, message):
    """A wrong ending, a folder, the input itself, a path below a file and a dtype are refused."""
    np.save(tmp_path / "in.npy", np.ones((5, 6)))
    (tmp_path / "folder.npy").mkdir()
    before = (tmp_path / "in.npy").read_bytes()
    with pytest.raises(InputError, match=message):
        apply_file(small[1], tmp_path / "in.npy", tmp_path / output, dtype=dtype)
    assert names(tmp_path) == ["folder.npy", "in.npy", "map.safetensors"]
    assert (tmp_path / "in.npy").read_bytes() == before


def test_refuses_a_map_that_was_changed(tmp_path, small):
    """A map file with any byte changed, or cut anywhere, is refused and nothing is written."""
    np.save(tmp_path / "in.npy", np.ones((5, 6)))
    data = small[1].read_bytes()
    for position in range(0, len(data), 23):
        changed = bytearray(data)
        changed[position] ^= 0x11
        for body in (bytes(changed), data[:position]):
            (tmp_path / "bad.safetensors").write_bytes(body)
            with pytest.raises((FileFormatError, InputError)):
                apply_file(tmp_path / "bad.safetensors", tmp_path / "in.npy", tmp_path / "out.npy")
    assert not (tmp_path / "out.npy").exists()


# -- the right space --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twins(tmp_path_factory, networks):
    """Return two ReLU-like spaces of one dimension, and maps between them, both ways."""
    folder = tmp_path_factory.mktemp("twins")
    nets = networks({"a": 256, "b": 256})
    nets.save(folder / "set", 1500, 1)
    fit_to_files([folder / "set"], folder, options=FitOptions())
    return folder, nets


def test_a_map_applied_backwards_is_refused_by_statistics(tmp_path, twins):
    """Rows of the target, in a bare file of the same dimension, are refused; so is nothing else."""
    folder, nets = twins
    features, _ = nets.rows(1200, seed=5)
    for wrong, right, file in (("b", "a", "a--b"), ("a", "b", "b--a")):
        np.save(tmp_path / "wrong.npy", features[wrong])
        np.save(tmp_path / "right.npy", features[right])
        apply_file(folder / f"{file}.safetensors", tmp_path / "right.npy", tmp_path / "out.npy")
        with pytest.raises(SpaceMismatchError, match=f"does not look like features of {right}"):
            apply_file(folder / f"{file}.safetensors", tmp_path / "wrong.npy", tmp_path / "no.npy")
        assert not (tmp_path / "no.npy").exists()


def test_force_maps_what_looks_wrong_and_says_so(tmp_path, twins):
    """With `force` the rows are mapped all the same and a note says that they were not checked."""
    folder, nets = twins
    features, _ = nets.rows(300, seed=5)
    np.save(tmp_path / "wrong.npy", features["b"])
    file = folder / "a--b.safetensors"
    summary = apply_file(file, tmp_path / "wrong.npy", tmp_path / "out.npy", force=True)
    expected = LinearMap.load(file).apply(features["b"])
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-6, atol=1e-6)
    assert any("mapped by --force, not checked to be a" in note for note in summary["notes"])


@pytest.mark.quick("one row")
@pytest.mark.parametrize("rows", ["one class", "one row", "thousand rows"])
def test_rows_of_the_right_space_pass(tmp_path, twins, rows):
    """Rows of one class only, a single row and a thousand rows of the source are mapped."""
    folder, nets = twins
    features, labels = nets.rows(3000, seed=6)
    for pick in range(10):
        chosen = {
            "one class": features["a"][labels == pick],
            "one row": features["a"][pick : pick + 1],
            "thousand rows": features["a"][200 * pick : 200 * pick + 1000],
        }[rows]
        np.save(tmp_path / "in.npy", chosen)
        summary = apply_file(folder / "a--b.safetensors", tmp_path / "in.npy", tmp_path / "out.npy")
        assert summary["rows"] == len(chosen)


def test_a_folder_is_asked_for_the_source_by_name(tmp_path, twins, write_folder):
    """A folder gives the rows of the map's source, and is refused where it has none."""
    folder, nets = twins
    features, _ = nets.rows(50, seed=7)
    write_folder(tmp_path / "set", features)
    apply_file(folder / "b--a.safetensors", tmp_path / "set", tmp_path / "out.npy")
    expected = LinearMap.load(folder / "b--a.safetensors").apply(features["b"])
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-6, atol=1e-6)
    write_folder(tmp_path / "other", {"a": features["a"]})
    with pytest.raises(InputError, match=r"no space 'b' in .*it holds a"):
        apply_file(folder / "b--a.safetensors", tmp_path / "other", tmp_path / "no.npy")


@pytest.mark.parametrize("fault", ["dimension", "fingerprint"])
def test_a_folder_of_another_encoder_is_refused(tmp_path, write_folder, fault):
    """A space of the right name but another dimension or fingerprint is refused."""
    source = Space("a", 6, "0" * 64)
    LinearMap(np.ones((2, 6)), np.zeros(2), source, Space("b", 2), "test").save(tmp_path / "m.st")
    write_folder(tmp_path / "set", {"a": np.ones((4, 7 if fault == "dimension" else 6))})
    manifest = {"spaces": {"a": {"fingerprint": "1" * 64}}}
    (tmp_path / "set" / "feature_set.json").write_text(json.dumps(manifest))
    message = "of dimension 7" if fault == "dimension" else "got encoder fingerprint 111111111111"
    with pytest.raises(SpaceMismatchError, match=message):
        apply_file(tmp_path / "m.st", tmp_path / "set", tmp_path / "out.npy")


# -- interruption -----------------------------------------------------------------------------


class Stop(BaseException):
    """What ends a run in a test, as Ctrl-C would."""


def interrupt_after(rows):
    """Return a progress function that stops a run after some rows."""

    def progress(done, total):
        del total
        if done >= rows:
            raise Stop

    return progress


@pytest.fixture
def long(tmp_path, small, monkeypatch):
    """Return an input of several chunks and the bytes of its undisturbed output."""
    monkeypatch.setattr(passes, "CHUNK_ROWS", 64)
    np.save(tmp_path / "in.npy", RNG.standard_normal((500, 6)))
    apply_file(small[1], tmp_path / "in.npy", tmp_path / "whole.npy")
    return tmp_path / "in.npy", (tmp_path / "whole.npy").read_bytes()


def test_an_interrupted_run_leaves_no_output_and_goes_on(tmp_path, small, long):
    """After an interruption there is no output; the same call does only the rows that are left."""
    with pytest.raises(Stop):
        apply_file(small[1], long[0], tmp_path / "out.npy", progress=interrupt_after(130))
    assert not (tmp_path / "out.npy").exists()
    assert hidden(tmp_path) == [".out.npy.partial.json", ".out.npy.partial.npy"]
    seen = []
    apply_file(small[1], long[0], tmp_path / "out.npy", progress=lambda done, _: seen.append(done))
    assert seen == [256, 320, 384, 448, 500]
    assert (tmp_path / "out.npy").read_bytes() == long[1]
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("change", ["map", "input", "dtype"])
def test_another_call_starts_from_its_first_row(tmp_path, small, long, change):
    """What an interrupted run did is not used with another map, input or dtype."""
    with pytest.raises(Stop):
        apply_file(small[1], long[0], tmp_path / "out.npy", progress=interrupt_after(130))
    dtype = None
    if change == "map":
        make_map(6, 4).save(small[1])
    elif change == "input":
        np.save(long[0], RNG.standard_normal((500, 6)))
    else:
        dtype = "float32"
    apply_file(small[1], long[0], tmp_path / "out.npy", dtype=dtype)
    expected = load_map(small[1]).apply(np.load(long[0]))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-5, atol=1e-6)


def test_a_run_of_another_call_in_between_spoils_nothing(tmp_path, small, long, monkeypatch):
    """A record is never read as that of an array that another interrupted call began anew."""
    with pytest.raises(Stop):
        apply_file(small[1], long[0], tmp_path / "out.npy", progress=interrupt_after(130))
    # Another call is killed as soon as its array stands.
    with monkeypatch.context() as patch:
        patch.setattr(partial_output, "write_json", lambda *_: interrupt_after(0)(0, 0))
        with pytest.raises(Stop):
            apply_file(small[1], long[0], tmp_path / "out.npy", dtype="float32")
    apply_file(small[1], long[0], tmp_path / "out.npy")
    assert (tmp_path / "out.npy").read_bytes() == long[1]


@pytest.mark.parametrize("damage", ["record", "array"])
def test_a_damaged_partial_result_is_done_again_or_refused(tmp_path, small, long, damage):
    """A record that is cut means starting anew; an array of another size is refused."""
    with pytest.raises(Stop):
        apply_file(small[1], long[0], tmp_path / "out.npy", progress=interrupt_after(130))
    if damage == "record":
        (tmp_path / ".out.npy.partial.json").write_text('{"identity"')
        apply_file(small[1], long[0], tmp_path / "out.npy")
        assert (tmp_path / "out.npy").read_bytes() == long[1]
    else:
        (tmp_path / ".out.npy.partial.npy").write_bytes(b"cut")
        with pytest.raises(InputError, match="has another size"):
            apply_file(small[1], long[0], tmp_path / "out.npy")
        assert not (tmp_path / "out.npy").exists()


@pytest.mark.slow
def test_kill_9_at_any_moment_costs_only_the_chunk_in_flight(tmp_path):
    """After kills at random moments the same command gives the bytes of an undisturbed run."""
    rng = np.random.default_rng(0)
    make_map(64, 256).save(tmp_path / "map.safetensors")
    np.save(tmp_path / "in.npy", RNG.standard_normal((60_000, 64)).astype(np.float32))
    # Chunks are smaller than usual so that there are more moments to be killed at.
    script = (
        "import sys\n"
        "from intertwine.passes import apply\n"
        "from intertwine.vectors import partial_output\n"
        "apply.CHUNK_ROWS = 512\n"
        "partial_output.SYNC_SECONDS = 0\n"
        "print('ready', flush=True)\n"
        "apply.apply_file(*sys.argv[1:])\n"
    )

    def start(output):
        return subprocess.Popen(
            [sys.executable, "-c", script, "map.safetensors", "in.npy", output],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
        )

    with start("whole.npy") as process:
        process.stdout.readline()
        began = time.monotonic()
        assert process.wait() == 0
        seconds = time.monotonic() - began
    kills, resumed = 0, 0
    while kills < 10:
        with start("out.npy") as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.5 * seconds))
            process.send_signal(signal.SIGKILL)
            kills += process.wait() != 0
        if (tmp_path / "out.npy").exists():
            # It got as far as naming its output, which must then be whole.
            assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
            (tmp_path / "out.npy").unlink()
            continue
        record = tmp_path / ".out.npy.partial.json"
        resumed += record.exists() and bool(json.loads(record.read_text())["done"])
    with start("out.npy") as process:
        assert process.wait() == 0
    assert resumed >= 2
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert all(name.startswith(".tmp-") for name in hidden(tmp_path))


# -- full disks -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_full_disk_shows_before_the_first_row_and_leaves_nothing(tmp_path, small):
    """Where the output does not fit, one error says so and nothing half-written is left."""
    np.save(tmp_path / "in.npy", np.ones((50_000, 6)))
    script = (
        "import resource, signal, sys\n"
        "from intertwine.errors import InputError\n"
        "from intertwine.passes.apply import apply_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n"
        "    apply_file(*sys.argv[1:])\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, small[1], tmp_path / "in.npy", tmp_path / "out.npy"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "out.npy: File too large" in done.stdout
    assert names(tmp_path) == ["in.npy", "map.safetensors"]
