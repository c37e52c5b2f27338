import shutil

import numpy as np
import pytest

from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import load_map
from intertwine.moments.accumulators import precisions


def test_prints_the_path_of_every_map(intertwine, study_folders, tmp_path, files_below):
    """One line a map on standard output, each the path of a file that is there."""
    done = intertwine("fit", study_folders / "fit", "--out", tmp_path / "maps")
    assert done.code == 0
    assert done.err == ""
    assert sorted(done.out.split()) == [
        str(tmp_path / "maps" / name) for name in files_below(tmp_path / "maps")
    ]
    assert len(files_below(tmp_path / "maps")) == 6


def test_json_is_one_object_with_the_maps(intertwine, study_folders, tmp_path):
    """With --json each map's path, method and facts are one object on standard output."""
    result = intertwine(
        "fit", study_folders / "fit", "--out", tmp_path, "--source", "a", "--alpha", "gcv", "--json"
    ).json()
    assert [(entry["source"], entry["target"]) for entry in result["maps"]] == [
        ("a", "b"),
        ("a", "c"),
    ]
    for entry in result["maps"]:
        assert entry["info"] == {
            key: value
            for key, value in LinearMap.load(entry["path"]).info.items()
            if key != "created"
        }
        # λ is a step of the grid on the source's own scale: tr S / rank S.
        rows = np.load(study_folders / "fit" / "a.npy").astype(float)
        mean = rows.var(axis=0).sum() * len(rows) / np.linalg.matrix_rank(rows - rows.mean(axis=0))
        steps = 4 * np.log10(entry["info"]["alpha"] / mean)
        assert abs(steps - round(steps)) < 1e-6


def test_folders_joined_in_another_order_are_said(intertwine, tmp_path, write_folder):
    """Rows joined by id are told of on standard error, and in the JSON's notes."""
    rng, ids = np.random.default_rng(0), [f"r{i}" for i in range(30)]
    rows = rng.standard_normal((30, 3))
    write_folder(tmp_path / "x", {"x": rows}, ids=ids)
    write_folder(tmp_path / "y", {"y": rows[::-1] + 1}, ids=ids[::-1])
    arguments = ["fit", tmp_path / "x", tmp_path / "y", "--out", tmp_path / "maps"]
    assert "are in another order; joined by id" in intertwine(*arguments).err
    assert "joined by id" in intertwine(*arguments, "--json").json()["notes"][0]


def test_rows_in_another_order_are_asked_about_first(intertwine, study_folders, tmp_path):
    """Where maps explain nothing the first line asks for the order of rows, in JSON the first note."""
    shuffled = tmp_path / "shuffled"
    shutil.copytree(study_folders / "fit", shuffled)
    rows = np.load(shuffled / "b.npy")
    np.save(shuffled / "b.npy", rows[np.random.default_rng(1).permutation(len(rows))])
    line = ["fit", shuffled, "--out", tmp_path / "maps"]
    question = "are the rows of a.npy and b.npy the same items in the same order?"
    assert intertwine(*line).err.splitlines()[0] == f"warning: a → b explains nothing: {question}"
    result = intertwine(*line, "--json").json()
    assert result["warnings"] == result["notes"][:4]
    assert len(result["warnings"]) == 4
    by_pair = {(each["source"], each["target"]): each for each in result["maps"]}
    assert by_pair["a", "b"]["r2"] < 0.1 < by_pair["a", "c"]["r2"]
    assert all(each["n"] == 120 and each["alpha"] == 1.0 for each in by_pair.values())


def test_a_terminal_shows_what_each_map_is_worth(intertwine, tmp_path, study_folders, monkeypatch):
    """On a terminal a line a map has λ, the rows and R² held out, or why there is none."""
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda _: True)
    line = ["fit", study_folders / "fit", "--source", "a", "--target", "c", "--alpha", "3"]
    entry = intertwine(*line, "--out", tmp_path / "one", "--json").json()["maps"][0]
    numbers = (f"{entry[key]:.3f}".replace("-", "−") for key in ("r2", "r2_null"))
    expected = "a → c: λ 3, n 120, R² held out {} (shuffled rows {})".format(*numbers)
    assert expected in intertwine(*line, "--out", tmp_path / "two").err
    mean = intertwine(*line[:-2], "--out", tmp_path / "three", "--method", "mean").err
    assert "a → c: n 120, no R² held out: mean is not fitted to pairs of rows" in mean


def test_what_a_map_says_of_itself_is_told(intertwine, tmp_path, networks):
    """Dead features are told of on standard error, by source and target."""
    networks({"a": 12, "b": 9}, dead=2).save(tmp_path / "set", 100, 1)
    done = intertwine("fit", tmp_path / "set", "--out", tmp_path / "maps")
    assert "a → b: the source's features have rank 10 of 12" in done.err


@pytest.mark.quick("--alpha 7.5-", "--alpha gcv --alphas 2,4,8-", "--intercept homogeneous-")
@pytest.mark.parametrize(
    ("arguments", "check"),
    [
        (["--alpha", "7.5"], lambda m: m.info["alpha"] == 7.5),
        (["--alpha", "gcv", "--alphas", "2,4,8"], lambda m: m.info["alpha"] in {2, 4, 8}),
        (["--intercept", "none"], lambda m: not m.bias.any()),
        (["--intercept", "homogeneous"], lambda m: m.info["intercept"] == "homogeneous"),
        (
            ["--method", "reduced-rank", "--rank", "2"],
            lambda m: np.linalg.matrix_rank(m.weight) == m.info["map_rank"] == 2,
        ),
        (["--method", "cca", "--rank", "3"], lambda m: np.linalg.matrix_rank(m.weight) == 3),
        (["--method", "procrustes", "--scale"], lambda m: m.info["scale"] != 1),
        (["--method", "procrustes"], lambda m: m.info["scale"] == 1),
        (["--prior", "analytic"], lambda m: m.info["prior"] == "analytic"),
        (["--precision", "float32"], lambda m: m.info["precision"] == "float32"),
        (["--precision", "float64"], lambda m: m.info["precision"] == "float64"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_option_does_something(intertwine, study_folders, tmp_path, arguments, check):
    """Each option of the command reaches the map it writes."""
    pair = ["--source", "a", "--target", "b"]
    done = intertwine("fit", study_folders / "fit", "--out", tmp_path, *pair, *arguments)
    assert done.code == 0, done.err
    assert check(load_map(tmp_path / "a--b.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alpha", "-1"], "got alpha -1, expected a number of at least 0"),
        (["--alpha", "nan"], "got alpha nan"),
        (["--alpha", "inf"], "got alpha inf"),
        (["--alpha", "best"], "expected a number of at least 0 or one of gcv, gcv-per-target"),
        (["--alphas", "1,x"], "got --alphas 'x', expected a number"),
        (["--alphas", "1,2"], "got --alphas with --alpha 1.0, expected --alpha gcv"),
        (
            ["--rank", "3"],
            "got --rank with method ridge, expected it with cca or reduced-rank only",
        ),
        (
            ["--method", "cca", "--scale"],
            "got --scale with method cca, expected it with procrustes only",
        ),
        (["--method", "procrustes", "--alpha", "gcv"], "which takes no λ; leave it out"),
        (["--method", "mean", "--alpha", "gcv-per-target"], "which takes no λ; leave it out"),
        (["--alpha", "gcv", "--alphas", "3,2"], "expected positive ascending numbers"),
        (["--alpha", "gcv", "--alphas", "0,2"], "expected positive ascending numbers"),
        (["--method", "reduced-rank", "--rank", "0"], "got rank 0"),
        (["--method", "reduced-rank", "--rank", "-2"], "got rank -2"),
        (["--method", "reduced-rank", "--rank", "1.5"], "got --rank '1.5', expected a number"),
        (["--method", "cca", "--rank", "0"], "got rank 0, expected at least 1"),
        (["--method", "cca", "--rank", "gcv"], "a rank that is a number"),
        (["--method", "cca", "--alpha", "gcv"], "CCA has no GCV"),
        (["--method", "procrustes", "--intercept", "homogeneous"], "no homogeneous form"),
        (["--method", "cca", "--prior", "analytic"], "expected analytic, with ridge"),
        (["--prior", "magic"], "got prior 'magic'"),
        (["--source", "z"], "got source 'z', expected one of a, b, c"),
        (["--target", "z"], "got target 'z'"),
        (["--device", "cuda:99"], "got device 'cuda:99'"),
        (["--precision", "fast", "--fast-error", "0"], "got fast error 0.0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options_are_one_line_and_write_nothing(
    intertwine, study_folders, tmp_path, arguments, message
):
    """A value that cannot be is refused in one line and no map is written."""
    done = intertwine("fit", study_folders / "fit", "--out", tmp_path / "maps", *arguments)
    assert message in done.error()
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("units", [[], ["AMX"]], ids=["no units", "units"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "--fast-error", "0"], "got fast error 0.0"),
        (["fit", "--fast-error", "nan"], "got fast error nan"),
        (["fit", "--alpha", "-1"], "got alpha -1"),
        (["moments", "--fast-error", "1e-9"], "got fast error 1e-09"),
        (["moments", "--rows", "7"], "got --rows '7'"),
        (["closed-set", "--alpha", "-1"], "got alpha -1"),
        (["linkage", "--alpha", "best"], "expected a number of at least 0"),
        (["open-set", "--rank", "0", "--method", "reduced-rank"], "got rank 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_value_is_wrong_on_every_machine(
    intertwine, study_folders, tmp_path, monkeypatch, units, arguments, message
):
    """What was typed is checked before the machine is, so one command has one error everywhere."""
    monkeypatch.setattr(precisions, "matrix_units", lambda: units)
    command, *options = arguments
    folders = {
        "closed-set": ["--fit", study_folders / "fit", "--eval", study_folders / "eval"],
        "linkage": ["--gallery", study_folders / "fit", "--probe", study_folders / "eval"],
        "open-set": [study_folders / "fit", "--pairs", study_folders / "pairs.csv"],
    }.get(command, [study_folders / "fit"])
    out = ["--out", tmp_path / "out", "--precision", "fast"]
    assert message in intertwine(command, *folders, *out, *options).error()


def test_moments_that_are_none_are_refused(intertwine, tmp_path):
    """A file in place of a feature set must be moments."""
    (tmp_path / "file").write_bytes(b"something else")
    done = intertwine("fit", tmp_path / "file", "--out", tmp_path / "maps")
    assert "not a file that intertwine wrote" in done.error()
    assert not (tmp_path / "maps").exists()


def test_an_array_in_place_of_a_set(intertwine, study_folders, tmp_path):
    """One array is answered with what to give."""
    done = intertwine("fit", study_folders / "fit" / "a.npy", "--out", tmp_path / "maps")
    assert "a.npy: is one array, expected a folder of a NAME.npy a space" in done.error()


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1", "it is a pointer of Git LFS"),
        (b"PK\x03\x04...", "it is a zip, such as an .npz"),
        (b"", "it is empty"),
        (b"else", "or cut short"),
    ],
)
def test_what_lies_under_an_arrays_name_is_said(intertwine, tmp_path, write_folder, start, words):
    """A file that is no array is named for what it is."""
    folder = write_folder(tmp_path / "set", {"a": np.eye(20)})
    (folder / "b.npy").write_bytes(start)
    assert words in intertwine("fit", folder, "--out", tmp_path / "maps").error()


def test_unpaired_rows_reach_the_fit(intertwine, study_folders, tmp_path):
    """With --unpaired the method is refitted by self-training, which the JSON says of each map."""
    line = ["fit", study_folders / "fit", "--source", "a", "--target", "b", "--method", "ridge"]
    more = ["--unpaired", study_folders / "eval", "--json"]
    (entry,) = intertwine(*line, *more, "--out", tmp_path / "maps").json()["maps"]
    assert entry["method"] == "self-training"
    assert entry["info"]["self_training"]["held_out"] > 0
    error = intertwine(*line[:-1], "mean", *more, "--out", tmp_path / "none").error()
    assert "got refit 'mean', expected one of cca, procrustes, ridge" in error
