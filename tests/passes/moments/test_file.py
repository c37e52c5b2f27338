import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers import assert_close

from intertwine.errors import FileFormatError, InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.moments.accumulators import Products
from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.moments import Moments
from intertwine.parallel.workers import Workers, open_workers
from intertwine.passes.moments import parts as moment_parts
from intertwine.passes.moments.file import merge_files, moments_to_file
from intertwine.passes.moments.joint import add_rows, empty_moments, joint_moments
from intertwine.passes.moments.parts import Part, whole_pieces
from intertwine.storage.shelf import Checkpoints, run_key

N = 30_000
DIMS = {"a": 7, "b": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_folder):
    """Return a folder of two spaces far from the origin."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal((N, d)) + 5 for name, d in DIMS.items()}
    return write_folder(tmp_path_factory.mktemp("set") / "set", arrays)


def numbers(moments):
    """Return everything that moments hold, as bytes."""
    sums = moments.sums
    second = {pair: np.triu(x) if pair[0] == pair[1] else x for pair, x in sums.second.items()}
    parts = [*second.values(), *sums.first.values(), *sums.norm_cross.values(), sums.norm_second]
    return [part.tobytes() for part in parts]


def assert_same_moments(got, expected, tolerance=1e-12):
    """Check the moments of one set against those of another."""
    assert got.n == expected.n
    for a in DIMS:
        assert_close(got.mean(a), expected.mean(a), tolerance)
        for b in DIMS:
            assert_close(got.scatter(a, b), expected.scatter(a, b), tolerance)


# -- workers ----------------------------------------------------------------------------------------


@given(n=st.integers(1, 2_000_000), first=st.integers(0, 10**7))
def test_parts_cover_all_rows_and_end_on_the_grid(n, first):
    """Parts follow one another, cover all rows, and all but the last end at edges of blocks."""
    moments = Moments({"a": 1}, first_row=first)
    pieces = whole_pieces(n, moments)
    assert [cut.start for cut, _ in pieces] == [0, *(cut.stop for cut, _ in pieces[:-1])]
    assert pieces[-1][0].stop == n
    assert all(offset == first + cut.start for cut, offset in pieces)
    assert all((first + cut.stop) % BLOCK_ROWS == 0 for cut, _ in pieces[:-1])
    assert len(pieces) <= moment_parts.MOST_PARTS + 1


@pytest.mark.quick("float64")
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_workers_change_no_byte(folder, precision):
    """One, two or three workers, threads or processes, give the same bytes, near one pass's."""
    feature_set = FeatureSet.open(folder)
    found = []
    for count in (1, 3):
        with ThreadPoolExecutor(count) as executor:
            found.append(joint_moments(feature_set, precision=precision, workers=Workers(executor)))
    with open_workers(2, None) as workers:
        found.append(joint_moments(feature_set, precision=precision, workers=workers))
    assert all(numbers(each) == numbers(found[0]) for each in found)
    alone = joint_moments(feature_set, precision=precision)
    assert found[0].rows == alone.rows
    assert_same_moments(found[0], alone)


@pytest.mark.quick("float64")
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_block_is_bit_equal_wherever_it_is_taken(folder, precision):
    """The products of one block of rows are the same bytes in a worker and here."""
    feature_set = FeatureSet.open(folder)
    empty = empty_moments(feature_set, list(DIMS), Products(precision))
    part = Part.of(feature_set, empty, range(BLOCK_ROWS, 2 * BLOCK_ROWS), BLOCK_ROWS)
    here = empty_moments(feature_set, list(DIMS), Products(precision), first_row=BLOCK_ROWS)
    here.update(feature_set.read(list(DIMS), part.rows))
    with open_workers(1, None) as workers:
        assert numbers(next(workers.run(Part.moments, [part]))[1]) == numbers(here)


@pytest.mark.slow
def test_scattered_rows_over_workers(folder):
    """Scattered rows, added in rings over workers, are those added here."""
    feature_set = FeatureSet.open(folder)
    rows = np.random.default_rng(1).permutation(N)
    rings = [np.sort(ring) for ring in np.split(rows, [5000, 14_000])]
    here, there = (empty_moments(feature_set, list(DIMS)) for _ in range(2))
    with ThreadPoolExecutor(2) as executor:
        for ring in rings:
            add_rows(here, feature_set, ring)
            add_rows(there, feature_set, ring, workers=Workers(executor))
    assert here.next_row == there.next_row == N
    assert_same_moments(there, here)


def test_large_parts_come_as_files(folder, tmp_path, monkeypatch):
    """Parts too large to pickle come as files, the same bytes, and are found by the next run."""
    monkeypatch.setattr(moment_parts, "PICKLED_BYTES", 0)
    feature_set = FeatureSet.open(folder)
    plain = joint_moments(feature_set)
    found, files = [], []
    saved = Checkpoints(tmp_path / "parts", run_key("run"), "part")
    for _ in range(2):
        moments = empty_moments(feature_set, list(DIMS))
        with ThreadPoolExecutor(2) as executor:
            workers = Workers(executor)
            add_rows(moments, feature_set, workers=workers, saved=saved)
        found.append(moments)
        files.append({f.name: f.stat().st_mtime_ns for f in saved.files()})
    assert len(files[0]) == 4
    assert files[1] == files[0]
    assert numbers(found[0]) == numbers(found[1])
    assert_same_moments(found[0], plain)


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_changes_nothing(folder):
    """With one of two processes killed while they work, the same bytes come out."""
    feature_set = FeatureSet.open(folder)
    with ThreadPoolExecutor(1) as executor:
        expected = joint_moments(feature_set, workers=Workers(executor))
    with open_workers(2, None) as workers:
        list(workers.run(abs, range(4)))
        victims = list(workers.executor._processes)

        def kill():
            time.sleep(0.05)
            os.kill(victims[0], signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        got = joint_moments(feature_set, workers=workers)
        thread.join()
    assert numbers(got) == numbers(expected)


# -- files ------------------------------------------------------------------------------------------


@pytest.mark.quick("cuts2")
@pytest.mark.parametrize("cuts", [(0, N), (0, 1, 4096, 20_000, N), (0, 8192, 8193, N)])
def test_files_of_parts_merge_to_the_whole(folder, tmp_path, cuts):
    """Files of row ranges merge to the moments of all rows, in any order to the same bytes."""
    files = []
    for start, stop in pairwise(cuts):
        files.append(tmp_path / f"{start}.safetensors")
        summary = moments_to_file([folder], files[-1], rows=(start, stop))
        assert (summary["n"], summary["rows"]) == (stop - start, [[start, stop]])
    merge_files(files, tmp_path / "forward")
    summary = merge_files(files[::-1], tmp_path / "backward")
    assert (tmp_path / "forward").read_bytes() == (tmp_path / "backward").read_bytes()
    assert (summary["rows"], summary["parts"]) == ([[0, N]], len(files))
    assert_same_moments(Moments.load(tmp_path / "forward"), joint_moments(FeatureSet.open(folder)))


@pytest.mark.slow
def test_sixty_four_parts_in_any_order(folder, tmp_path):
    """Sixty-four parts merged in any order give the same bytes, and the moments of one pass."""
    edges = np.linspace(0, N, 65).astype(int).tolist()
    files = [tmp_path / f"{number:02d}" for number in range(64)]
    for file, rows in zip(files, pairwise(edges), strict=True):
        moments_to_file([folder], file, rows=rows)
    rng, merged = np.random.default_rng(0), set()
    for _ in range(4):
        merge_files([files[i] for i in rng.permutation(64)], tmp_path / "out")
        merged.add((tmp_path / "out").read_bytes())
    assert len(merged) == 1
    assert_same_moments(Moments.load(tmp_path / "out"), joint_moments(FeatureSet.open(folder)))


@pytest.mark.slow
def test_workers_write_the_file_that_one_of_them_writes(folder, tmp_path):
    """However many workers there are, the file is the same bytes, and nothing else stays."""
    for count in (1, 2):
        with open_workers(count, None) as workers:
            moments_to_file([folder], tmp_path / str(count), workers=workers)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["1", "2"]


@pytest.mark.slow
def test_what_a_killed_run_kept_is_used_only_by_the_same_run(folder, tmp_path, monkeypatch):
    """Kept moments are gone on with by the same call alone; another call removes them."""
    out = tmp_path / "out"
    monkeypatch.setattr(Moments, "save", interrupted(Moments.save, out))
    with pytest.raises(KeyboardInterrupt):
        moments_to_file([folder], out, every=0)
    monkeypatch.undo()
    (folder_left,) = tmp_path.iterdir()
    (left,) = folder_left.iterdir()
    assert moments_to_file([folder], tmp_path / "else", every=0)["resumed"] == 0
    assert moments_to_file([folder], out, every=0)["resumed"] == N
    assert (tmp_path / "else").read_bytes() == out.read_bytes()
    folder_left.mkdir()
    left.write_bytes(b"no moments")
    assert moments_to_file([folder], out, products=Products("float32"))["resumed"] == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["else", "out"]


def interrupted(save, out):
    """Return a `save` that is interrupted when it comes to a file."""

    def saving(self, path):
        if path == out:
            raise KeyboardInterrupt
        save(self, path)

    return saving


@pytest.mark.parametrize(
    ("rows", "message"),
    [((5, 5), "got rows 5:5"), ((0, N + 1), f"expected some of 0:{N}"), ((9, 3), "got rows 9:3")],
    ids=["none", "more", "backward"],
)
def test_rows_that_are_not_there_are_refused(folder, tmp_path, rows, message):
    """An empty range and rows that the set lacks are refused, and nothing is written."""
    with pytest.raises(InputError, match=message):
        moments_to_file([folder], tmp_path / "out", rows=rows)
    assert not list(tmp_path.iterdir())


def test_parts_that_do_not_go_together_are_refused(folder, tmp_path):
    """Shared rows, the same file twice, other spaces, no moments: one line, and no file."""
    names = ("left", "middle", "right")
    left, middle, right = (tmp_path / name for name in names)
    moments_to_file([folder], left, rows=(0, 9000))
    moments_to_file([folder], middle, rows=(8000, 12_000))
    moments_to_file([folder], right, rows=(12_000, N), names=["b"])
    cases = [
        ([left, middle], InputError, "middle: rows 8000:9000 of one feature set are in both"),
        ([left, left], InputError, "left holds the same moments as .*left; name it once"),
        ([left, right], InputError, r"right does not go with .*left: got moments of b"),
        ([left, folder / "a.npy"], FileFormatError, "not a file that intertwine wrote"),
        ([], InputError, "got no file"),
    ]
    for files, error, message in cases:
        with pytest.raises(error, match=message):
            merge_files(files, tmp_path / "out")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)
