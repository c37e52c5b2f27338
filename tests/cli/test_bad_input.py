"""Feature sets that cannot be used: one clear line, exit 1, nothing under --out."""

import resource
import signal
from itertools import product

import numpy as np
import pytest

from intertwine.features.feature_set import FeatureSet
from intertwine.passes.moments.joint import joint_moments
from intertwine.spaces import Head


@pytest.fixture
def sets(networks, tmp_path):
    """Return a folder with good sets `fit` and `eval`, to be spoilt."""
    nets = networks({"a": 8, "b": 6})
    nets.save(tmp_path / "fit", 60, 1, prefix="f")
    nets.save(tmp_path / "eval", 50, 2, prefix="e")
    return tmp_path


def spoil(path, change):
    """Change a `.npy` file through its array."""
    array = np.load(path)
    np.save(path, change(array))


def with_value(row, column, value):
    """Return a change that sets one number."""

    def change(array):
        array[row, column] = value
        return array

    return change


def cut(path):
    """Cut a file short."""
    path.write_bytes(path.read_bytes()[:-50])


def objects(path):
    """Replace a file by an array of Python objects."""
    np.save(path, np.array([[{}]]), allow_pickle=True)


def another_order(path):
    """Replace ids by other ones."""
    path.write_text("".join(f"other{i}\n" for i in range(50)))


def repeated(path):
    """Let an id stand twice."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[0]]) + "\n")


# What to do to a set's files, and what the line must say. The first two are asked of every command.
FAULTS = {
    "rows differ": (
        lambda s: spoil(s / "b.npy", lambda x: x[:-3]),
        "rows differ between spaces: got ",
    ),
    "NaN": (lambda s: spoil(s / "b.npy", with_value(37, 2, np.nan)), "b: NaN or infinite"),
    "infinity": (lambda s: spoil(s / "a.npy", with_value(37, 2, -np.inf)), "features in rows 37;"),
    "truncated": (lambda s: cut(s / "a.npy"), "a.npy: truncated"),
    "objects": (lambda s: objects(s / "a.npy"), "a.npy: holds Python objects"),
    "integers": (lambda s: spoil(s / "a.npy", lambda x: x.astype(int)), "a.npy: got dtype int64"),
    "d = 0": (lambda s: spoil(s / "a.npy", lambda x: x[:, :0]), "a.npy: got shape"),
    "n = 0": (
        lambda s: [spoil(s / f, lambda x: x[:0]) for f in ("a.npy", "b.npy", "labels.npy")],
        "got n = 0 rows",
    ),
    "id twice": (lambda s: repeated(s / "ids.txt"), "ids.txt: the id"),
    "ids missing": (
        lambda s: (s / "ids.txt").write_text("one\n"),
        "ids.txt: got 1 id, expected",
    ),
    "labels of another length": (
        lambda s: spoil(s / "labels.npy", lambda y: y[:-1]),
        "labels.npy: got",
    ),
    "labels of floats": (
        lambda s: spoil(s / "labels.npy", lambda y: y.astype(float)),
        "labels.npy: got float64",
    ),
    "head of another dimension": (
        lambda s: Head(np.ones((10, 3))).save(s / "a.head.safetensors"),
        "a.head.safetensors: got a head of dimension 3, expected 8",
    ),
    "head of rubbish": (
        lambda s: (s / "a.head.safetensors").write_bytes(b"\0" * 40),
        "a.head.safetensors: not a readable safetensors file",
    ),
    "space name": (lambda s: (s / "a.npy").rename(s / "a--c.npy"), "got space name 'a--c'"),
    "no space": (
        lambda s: [(s / f).unlink() for f in ("a.npy", "b.npy")],
        "not a feature set: expected NAME.npy",
    ),
}


@pytest.mark.parametrize(
    ("study", "fault"),
    [
        # Every command opens and reads a set in the same way.
        *(("closed-set fit", fault) for fault in FAULTS),
        *product(["fit", "closed-set eval", "similarity"], ["rows differ", "NaN"]),
    ],
)
def test_a_spoilt_set_is_one_line(intertwine, sets, study, fault):
    """Whatever is wrong with a set is said in one line, and nothing is written."""
    change, message = FAULTS[fault]
    part = sets / ("eval" if study.endswith("eval") else "fit")
    change(part)
    done = intertwine(*command_of(study.split()[0], sets), "--out", sets / "out")
    assert message in done.error()
    assert not (sets / "out").exists()


def command_of(study, sets):
    """Return the arguments of a command on the sets."""
    return two_sets(sets) if study == "closed-set" else [study, sets / "fit"]


def two_sets(sets):
    """Return the arguments of the study."""
    return ["closed-set", "--fit", sets / "fit", "--eval", sets / "eval"]


STUDY_FAULTS = {
    "label out of range": (
        lambda s: spoil(s / "eval" / "labels.npy", lambda y: np.where(y == y[4], 10, y)),
        "label 10 of row",
    ),
    "negative label": (
        lambda s: spoil(s / "eval" / "labels.npy", lambda y: y - 20),
        "is out of range: none of the heads' 10 classes (0 … 9)",
    ),
    "fit label out of range": (
        lambda s: spoil(s / "fit" / "labels.npy", lambda y: y + 9),
        "is out of range",
    ),
    "no labels": (lambda s: (s / "eval" / "labels.npy").unlink(), "no labels.npy"),
    "no head": (
        lambda s: [(s / part / "b.head.safetensors").unlink() for part in ("fit", "eval")],
        "space b has no head; put b.head.safetensors (weight, bias) beside b.npy",
    ),
    "heads of other classes": (
        lambda s: [
            Head(np.ones((7, 6))).save(s / part / "b.head.safetensors") for part in ("fit", "eval")
        ],
        "got 10 and 7 classes",
    ),
    "heads differ": (
        lambda s: Head(np.ones((10, 6))).save(s / "fit" / "b.head.safetensors"),
        "space b: its heads in",
    ),
    "dimensions differ": (
        lambda s: [
            spoil(s / "fit" / "b.npy", lambda x: x[:, :-1]),
            (s / "fit" / "b.head.safetensors").unlink(),
        ],
        "got space b of dimension 6, expected b of dimension 5",
    ),
    "one space": (lambda s: (s / "eval" / "b.npy").unlink(), "got 1 space in both sets"),
    "reserved name": (
        lambda s: [
            (s / part / "b.npy").rename(s / part / "fresh-random-features.npy")
            for part in ("fit", "eval")
        ],
        "the study makes one of this name",
    ),
}


@pytest.mark.quick("no labels", "label out of range")
@pytest.mark.parametrize("fault", STUDY_FAULTS)
def test_sets_that_do_not_fit_together_are_one_line(intertwine, sets, fault):
    """Labels, heads and spaces that do not fit together are said in one line."""
    change, message = STUDY_FAULTS[fault]
    change(sets)
    done = intertwine(*two_sets(sets), "--out", sets / "out")
    assert message in done.error()
    assert not (sets / "out").exists()


@pytest.mark.parametrize("study", ["fit", "closed-set"])
def test_a_single_fit_row_is_one_line(intertwine, networks, tmp_path, study):
    """One row is too few to fit a map."""
    nets = networks({"a": 8, "b": 6})
    nets.save(tmp_path / "fit", 1, 1)
    nets.save(tmp_path / "eval", 50, 2)
    arguments = ["fit", tmp_path / "fit"] if study == "fit" else two_sets(tmp_path)
    done = intertwine(*arguments, "--out", tmp_path / "out")
    assert "got n = 1 row, expected at least 2 to fit a map" in done.error()
    assert not (tmp_path / "out").exists()


@pytest.mark.quick("similarity-empty", "closed-set-absent")
@pytest.mark.parametrize("what", ["absent", "file", "empty"])
@pytest.mark.parametrize("study", ["fit", "closed-set", "similarity"])
def test_what_is_no_feature_set_is_one_line(intertwine, sets, study, what):
    """A path with nothing there, a file and an empty folder are no feature sets."""
    (sets / "file").write_text("x")
    (sets / "empty").mkdir()
    arguments = [study, sets / what, sets / "eval"]
    if study == "closed-set":
        arguments = ["closed-set", "--fit", sets / what, "--eval", sets / "eval"]
    line = intertwine(*arguments, "--out", sets / "out").error()
    assert f"{what}: not a feature set" in line
    assert not (sets / "out").exists()


@pytest.mark.parametrize("fault", ["cut", "rubbish", "other spaces", "beside a folder"])
def test_bad_files_of_moments_are_one_line(intertwine, sets, fault):
    """A file that is cut or no file of moments, other spaces, and a file with a folder."""
    good, bad = sets / "good.st", sets / "bad.st"
    whole = joint_moments(FeatureSet.open(sets / "fit"))
    whole.save(good)
    if fault == "other spaces":
        whole.select(["a"]).save(bad)
    else:
        bad.write_bytes(good.read_bytes()[:-40] if fault == "cut" else b"\0" * 40)
    arguments = [sets / "fit", good] if fault == "beside a folder" else [good, bad]
    message = {
        "cut": "bad.st: not a file that intertwine wrote, or cut short",
        "rubbish": "bad.st: not a file that intertwine wrote, or cut short",
        "other spaces": "got moments of a, expected a, b; use select",
        "beside a folder": "good.st: not a feature set: a file",
    }[fault]
    assert message in intertwine("similarity", *arguments, "--out", sets / "out").error()
    assert not (sets / "out").exists()


def test_a_single_space_is_similar_to_none(intertwine, sets):
    """A set of one space is refused by name."""
    (sets / "fit" / "b.npy").unlink()
    (sets / "fit" / "b.head.safetensors").unlink()
    line = intertwine("similarity", sets / "fit", "--out", sets / "out").error()
    assert "got one space, a, expected at least two" in line
    assert not (sets / "out").exists()


@pytest.mark.parametrize("ids", ["missing", "other"])
def test_folders_whose_ids_do_not_match_are_one_line(intertwine, sets, write_folder, ids):
    """Ids of joined folders that are missing or foreign are named by example."""
    names = [f"e{i}" for i in range(50)]
    names = names[:-1] if ids == "missing" else [*names[:-1], "stranger"]
    write_folder(sets / "more", {"c": np.ones((len(names), 3))}, ids=names)
    arguments = ["fit", sets / "eval", sets / "more"]
    line = intertwine(*arguments, "--out", sets / "out").error()
    assert "more/ids.txt: lacks 1 id of" in line
    assert "such as 'e49'" in line
    assert not (sets / "out").exists()


@pytest.mark.parametrize("study", ["fit", "closed-set", "similarity"])
@pytest.mark.parametrize("out", ["plain/out", "plain"])
def test_an_unwritable_output_is_one_line(intertwine, sets, study, out):
    """An output below a regular file, or that is one, is refused before the work."""
    (sets / "plain").write_bytes(b"somebody's own")
    line = intertwine(*command_of(study, sets), "--out", sets / out).error()
    assert f"cannot write {sets / out}: Not a directory" in line
    assert (sets / "plain").read_bytes() == b"somebody's own"


def limit_files(size):
    """Return a function that keeps a process from writing files beyond a size."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "size"),
    [
        ("fit", 700),
        pytest.param("closed-set", 700, marks=pytest.mark.slow),
        ("closed-set", 40_000),
        pytest.param("similarity", 700, marks=pytest.mark.slow),
        pytest.param("similarity", 40_000, marks=pytest.mark.slow),
    ],
    ids=[
        "fit",
        "closed-set at its first file",
        "closed-set at a later file",
        "similarity at its first file",
        "similarity at a later file",
    ],
)
def test_a_full_disk_is_one_line(installed, sets, files_below, study, size):
    """Where files cannot grow one line says so, and not even the files that fitted are left."""
    arguments = [*command_of(study, sets), "--out", sets / "out"]
    done = installed(*arguments, preexec_fn=limit_files(size))
    line = done.error()
    assert "cannot write" in line
    assert "File too large" in line
    # What a killed study would go on from is no report.
    left = files_below(sets / "out")
    assert [name for name in left if not name.startswith(".moments")] == []


@pytest.mark.quick("column-major")
@pytest.mark.parametrize("variant", ["big-endian", "column-major"])
@pytest.mark.usefixtures("undrawn")
def test_other_layouts_of_the_same_numbers_give_the_same_result(intertwine, sets, variant):
    """A big-endian or column-major file is accepted and changes no number of the study."""
    expected = intertwine(*two_sets(sets), "--out", sets / "one", "--json").json()
    for part in ("fit", "eval"):
        for name in ("a", "b"):
            spoil(
                sets / part / f"{name}.npy",
                (lambda x: x.astype(">f4")) if variant == "big-endian" else np.asfortranarray,
            )
    found = intertwine(*two_sets(sets), "--out", sets / "two", "--json").json()
    for key in ("pairs", "natives", "analytic", "baselines", "contrast", "curve"):
        assert found[key] == expected[key]
