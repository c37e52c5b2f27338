import itertools
import shutil

import numpy as np
import pytest
from tests.helpers import assert_close

from intertwine.errors import FileFormatError, InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.features.rows import row_number_hashes
from intertwine.moments.accumulators import Products
from intertwine.moments.moments import Moments
from intertwine.passes.moments import groups as passes
from intertwine.passes.moments.groups import grouped_moments, load_groups, row_groups
from intertwine.passes.moments.joint import joint_moments
from intertwine.storage.files import remove_folder
from intertwine.studies.similarity.study import SimilarityOptions, similarity

RNG = np.random.default_rng(0)
N = 500
DIMS = {"a": 6, "b": 4, "c": 3}
# Where groups are kept: what the two limits must be.
PLACES = {"memory": (1 << 30, 1024), "files": (0, 0), "made again": (0, 1024)}


def make_set(folder, write_folder, *, n=N, order=None):
    """Write spaces of one cause, with ids, and open them."""
    rng = np.random.default_rng(1)
    cause = rng.standard_normal((n, 4))
    order = np.arange(n) if order is None else order
    arrays = {
        name: (np.maximum(cause @ rng.standard_normal((4, d)), -0.5) + 3)[order]
        for name, d in DIMS.items()
    }
    return FeatureSet.open(write_folder(folder, arrays, ids=[f"row {i}" for i in order]))


@pytest.fixture(scope="module")
def stored(tmp_path_factory, write_folder):
    """Return a feature set of three spaces."""
    return make_set(tmp_path_factory.mktemp("set"), write_folder)


@pytest.fixture(params=PLACES)
def place(request, monkeypatch):
    """Let groups be kept in one of the places; return its name."""
    return keep_in(monkeypatch, request.param)


def keep_in(monkeypatch, place):
    """Set the two limits."""
    monkeypatch.setattr(passes, "IN_MEMORY_BYTES", PLACES[place][0])
    monkeypatch.setattr(passes, "REMADE_ROWS", PLACES[place][1])
    return place


def times(folder, pattern="group-*"):
    """Return when each kept file was written."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.glob(pattern))}


class Stop(BaseException):
    """What ends a run in a test, as Ctrl-C would."""


def stop_at(rows):
    """Return a progress function that stops a run at some row."""

    def progress(done, total):
        del total
        if done >= rows:
            raise Stop

    return progress


# -- which rows -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 19, 20, 21, 997, 4000])
@pytest.mark.parametrize("n_groups", [2, 20, 33])
def test_groups_are_disjoint_nearly_equal_and_cover_all_rows(n, n_groups):
    """Every row is in one group, sizes differ by at most one, and no group is empty."""
    groups = row_groups(row_number_hashes(n), n_groups)
    assert len(groups) == min(n, n_groups)
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.arange(n))
    sizes = [len(rows) for rows in groups]
    assert min(sizes) >= max(1, max(sizes) - 1)
    assert all((np.diff(rows) > 0).all() for rows in groups)


def test_groups_depend_on_ids_and_not_on_the_order_of_rows():
    """Rows in another order fall into the same groups; other ids fall into other groups."""
    hashes = row_number_hashes(400)
    order = RNG.permutation(400)
    groups = row_groups(hashes, 20)
    moved = row_groups(hashes[order], 20)
    for rows, same in zip(groups, moved, strict=True):
        np.testing.assert_array_equal(rows, np.sort(order[same]))
    others = row_groups(row_number_hashes(800)[400:], 20)
    assert not any(np.array_equal(rows, other) for rows, other in zip(groups, others, strict=True))


def test_groups_are_random():
    """How many rows of the first half a group holds is as random as a draw without return."""
    groups = row_groups(row_number_hashes(20_000), 20)
    first = np.array([(rows < 10_000).sum() for rows in groups])
    # Hypergeometric: mean 500, standard deviation 15.4.
    assert (np.abs(first - 500) < 62).all()
    assert 8 < first.std() < 25


# -- their moments ----------------------------------------------------------------------------


def test_the_total_is_that_of_one_pass(stored, place, tmp_path):
    """Moments of all groups together are the joint moments of the set, to rounding."""
    groups = grouped_moments(stored, list(DIMS), scratch=tmp_path / "kept")
    whole = joint_moments(stored)
    assert len(groups) == 20
    assert sum(groups.sizes) == groups.total.n == whole.n == N
    for name, other in itertools.product(DIMS, repeat=2):
        assert_close(groups.total.scatter(name, other), whole.scatter(name, other), 1e-12)
        assert_close(groups.total.mean(name), whole.mean(name), 1e-12)
    norms = zip(groups.total.norms_about_mean(DIMS), whole.norms_about_mean(DIMS), strict=True)
    for found, expected in norms:
        assert_close(found, expected, 1e-12)
    # Only groups that are kept in files are there.
    assert len(times(tmp_path / "kept")) == (20 if place == "files" else 0)


@pytest.mark.quick("made again", "memory")
@pytest.mark.usefixtures("place")
def test_each_part_is_the_moments_of_its_rows(stored, tmp_path):
    """A part has the count, means and scatters of its rows, however often it is asked for."""
    groups = grouped_moments(stored, list(DIMS), n_groups=21, scratch=tmp_path)
    features = stored.read(list(DIMS), range(N))
    rings = row_groups(stored.id_hashes, 21)
    for number in (0, 7, 20, 7):
        part, rows = groups.part(number), rings[number]
        assert part.n == groups.sizes[number] == len(rows)
        for name in DIMS:
            centred = features[name][rows] - features[name][rows].mean(axis=0)
            assert_close(part.scatter(name), centred.T @ centred, 1e-11)
            assert_close(part.mean(name), features[name][rows].mean(axis=0), 1e-12)


@pytest.mark.slow
def test_where_groups_are_kept_changes_no_byte(stored, monkeypatch, tmp_path):
    """The study's result is the same to the bit with groups in memory, in files or made again."""
    found = {}
    for name in PLACES:
        keep_in(monkeypatch, name)
        scratch = tmp_path / name
        options = SimilarityOptions(sample=0)
        found[name] = similarity(stored, scratch=scratch, options=options).to_json()
    assert found["files"] == found["memory"] == found["made again"]
    assert len(times(tmp_path / "files")) == 20


@pytest.mark.usefixtures("place")
def test_progress_is_told_in_rows_of_the_whole(stored, tmp_path):
    """Progress rises to all rows, and counts rows of the set and not of a group."""
    seen = []
    grouped_moments(
        stored,
        list(DIMS),
        scratch=tmp_path,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [total for _, total in seen] == [N] * len(seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (N, N)


@pytest.mark.usefixtures("place")
def test_float32_reaches_the_parts(stored, tmp_path):
    """The precision asked for is that of the total and of every part."""
    groups = grouped_moments(stored, ["a", "b"], products=Products("float32"), scratch=tmp_path)
    assert groups.total.precision == groups.part(3).precision == "float32"
    assert list(groups.total.spaces) == ["a", "b"]


def test_one_group_is_refused(stored, tmp_path):
    """One group of all rows is none."""
    with pytest.raises(InputError, match="got 1 row group, expected at least 2"):
        grouped_moments(stored, list(DIMS), n_groups=1, scratch=tmp_path)


def test_an_unknown_space_is_refused(stored, tmp_path):
    """A space that the set lacks is named."""
    with pytest.raises(InputError, match="no space 'z'"):
        grouped_moments(stored, ["a", "z"], scratch=tmp_path)


# -- what an interrupted run leaves -----------------------------------------------------------


@pytest.fixture
def halfway(stored, monkeypatch, tmp_path):
    """Return a scratch folder that an interrupted run left, and when its files were written."""
    keep_in(monkeypatch, "files")
    with pytest.raises(Stop):
        grouped_moments(stored, list(DIMS), scratch=tmp_path / "kept", progress=stop_at(N // 2))
    left = times(tmp_path / "kept")
    assert 5 < len(left) < 15
    return tmp_path / "kept", left


def test_finished_groups_are_not_made_again(stored, halfway, monkeypatch):
    """A second run leaves finished groups' files as they are and reads only the other rows."""
    scratch, left = halfway
    read = []
    original = passes.add_rows
    monkeypatch.setattr(
        passes, "add_rows", lambda m, s, rows, **more: read.append(original(m, s, rows, **more))
    )
    groups = grouped_moments(stored, list(DIMS), scratch=scratch)
    assert len(read) == 20 - len(left)
    assert {name: times(scratch)[name] for name in left} == left
    assert_close(groups.total.scatter("a", "b"), joint_moments(stored).scatter("a", "b"), 1e-12)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_group_is_made_again(stored, halfway, damage):
    """A file that is cut, altered or empty is not believed; the others are."""
    scratch, left = halfway
    bad = scratch / sorted(left)[2]
    whole = bad.read_bytes()
    changed = bytearray(whole)
    changed[-9] ^= 0x11
    bad.write_bytes({"cut": whole[:-40], "changed": bytes(changed), "empty": b""}[damage])
    groups = grouped_moments(stored, list(DIMS), scratch=scratch)
    assert bad.read_bytes() == whole
    after = times(scratch)
    assert {name for name in left if after[name] == left[name]} == set(left) - {bad.name}
    assert_close(groups.total.scatter("a", "b"), joint_moments(stored).scatter("a", "b"), 1e-12)


@pytest.mark.quick("spaces", "precision")
@pytest.mark.parametrize("change", ["features", "ids", "spaces", "precision", "groups"])
def test_groups_of_other_rows_are_not_used(halfway, stored, tmp_path, change):
    """Other features, ids, spaces, precision or groups start again and remove the old files."""
    scratch, left = halfway
    asked, options, opened = list(DIMS), {}, stored
    if change in {"features", "ids"}:
        copy = tmp_path / "set"
        shutil.copytree(stored.paths[0], copy)
        opened = FeatureSet.open(copy)
        with pytest.raises(Stop):
            grouped_moments(opened, asked, scratch=scratch, progress=stop_at(N // 2))
        left = times(scratch)
        if change == "features":
            np.save(copy / "a.npy", np.load(copy / "a.npy") + 1)
        else:
            (copy / "ids.txt").write_text("".join(f"other {i}\n" for i in range(N)))
        opened = FeatureSet.open(copy)
    elif change == "spaces":
        asked = ["a", "b"]
    elif change == "precision":
        options = {"products": Products("float32")}
    else:
        options = {"n_groups": 25}
    groups = grouped_moments(opened, asked, scratch=scratch, **options)
    assert not set(left) & set(times(scratch))
    assert len(times(scratch)) == len(groups)
    whole = joint_moments(opened, asked)
    tolerance = 1e-5 if change == "precision" else 1e-12
    assert_close(groups.total.scatter("a", "b"), whole.scatter("a", "b"), tolerance)
    assert_close(groups.total.mean("a"), whole.mean("a"), tolerance)


def test_forgetting_leaves_nothing(halfway):
    """The folder of kept groups is removed whole, and may be absent already."""
    scratch, _ = halfway
    remove_folder(scratch)
    assert not scratch.exists()
    remove_folder(scratch)


# -- files of moments -------------------------------------------------------------------------


@pytest.fixture
def files(stored, tmp_path):
    """Return files of the moments of 20 row groups, and the groups."""
    groups = grouped_moments(stored, list(DIMS), scratch=tmp_path / "unused")
    paths = [tmp_path / f"part-{number}.safetensors" for number in range(20)]
    for number, path in enumerate(paths):
        groups.part(number).save(path)
    return paths, groups


def test_files_of_moments_are_groups(files):
    """Several files add up to what they were parts of, and each is a group."""
    paths, groups = files
    loaded = load_groups(paths)
    assert loaded.sizes == groups.sizes
    assert_close(loaded.total.scatter("a", "c"), groups.total.scatter("a", "c"), 1e-12)
    assert_close(loaded.part(11).scatter("b"), groups.part(11).scatter("b"), 1e-15)


def test_one_file_of_moments_is_all_rows_and_no_group(files, tmp_path):
    """Of one file the total is known and no group is."""
    files[1].total.save(tmp_path / "whole.safetensors")
    loaded = load_groups([tmp_path / "whole.safetensors"])
    assert loaded.total.n == N
    assert len(loaded) == 0


def test_files_of_other_spaces_or_of_rubbish_are_refused(files, tmp_path):
    """Moments of other spaces do not add, and a file that is cut is no file of moments."""
    paths, _ = files
    other = Moments({"a": 6, "z": 4})
    other.update({"a": np.ones((3, 6)), "z": np.ones((3, 4))})
    other.save(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="got moments of a, z"):
        load_groups([*paths[:3], tmp_path / "other.safetensors"])
    paths[1].write_bytes(paths[1].read_bytes()[:-30])
    with pytest.raises(FileFormatError, match=r"part-1\.safetensors"):
        load_groups(paths)
