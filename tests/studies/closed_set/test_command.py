import json
import shlex

import numpy as np
import pytest
from tests.studies.results import assert_saved_as

from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.studies.closed_set.study import closed_set


def arguments(folders, out, *more):
    """Return the command line of the study."""
    return [
        "closed-set", "--fit", folders / "fit", "--eval", folders / "eval", "--out", out, *more
    ]  # fmt: skip


@pytest.mark.slow
def test_json_is_the_report_and_nothing_else(installed, study_folders, tmp_path):
    """With --json standard output is one JSON object, equal to report.json, without NaN."""
    done = installed(*arguments(study_folders, tmp_path / "report", "--json"))
    result = done.json()
    assert done.err == ""
    assert result == json.loads((tmp_path / "report" / "report.json").read_text())
    assert result["study"] == "closed-set"
    assert len(result["pairs"]) == 9


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_the_numbers_are_those_of_the_study(intertwine, study_folders, tmp_path):
    """The command's object holds what the library's function returns."""
    found = intertwine(*arguments(study_folders, tmp_path, "--alpha", "gcv", "--json")).json()
    expected = closed_set(
        FeatureSet.open(study_folders / "fit"),
        FeatureSet.open(study_folders / "eval"),
        options=FitOptions(alpha="gcv"),
    ).to_json()
    expected = json.loads(json.dumps(expected))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_save_writes_the_report_of_the_command(installed, study_folders, tmp_path):
    """A result of the library, saved, is the command's report in every byte of every file."""
    installed(*arguments(study_folders, tmp_path / "report", "--alpha", "gcv"))
    sets = [FeatureSet.open(study_folders / name) for name in ("fit", "eval")]
    result = closed_set(*sets, options=FitOptions(alpha="gcv"))
    assert_saved_as(result, tmp_path / "report", tmp_path / "saved")


def test_the_table_and_the_report_are_named(intertwine, study_folders, tmp_path):
    """Without --json a table is printed, and the path of a page that is there."""
    done = intertwine(*arguments(study_folders, tmp_path / "report"))
    assert done.code == 0
    assert done.err == ""
    page = tmp_path / "report" / "report.html"
    assert f"report: {page}" in done.out
    assert page.read_text().startswith("<!")
    for row in json.loads((tmp_path / "report" / "report.json").read_text())["natives"]:
        assert row["space"] in done.out
        assert f"{100 * row['accuracy']:.1f}" in done.out


@pytest.mark.slow
def test_the_report_holds_the_command_that_repeats_it(
    intertwine, study_folders, tmp_path, monkeypatch
):
    """The command in the report, run again, writes the same report but for its date."""
    monkeypatch.chdir(study_folders)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    out = tmp_path / "my report"
    line = ["closed-set", "--fit", "fit", "--eval", "./eval", "--curve-points", "1", "--out", out]
    assert intertwine(*line, "--json").code == 0
    whole = (out / "report.json").read_bytes()
    command = json.loads(whole)["command"]
    assert command == shlex.join(["intertwine", *map(str, line)])
    assert "--curve-points 1" in (out / "report.html").read_text().replace("<wbr>", "")
    assert intertwine(*shlex.split(command)[1:]).code == 0
    assert (out / "report.json").read_bytes() == whole


@pytest.mark.quick("--curve-points 1-")
@pytest.mark.parametrize(
    ("option", "check"),
    [
        (["--control", "c"], lambda r: r["controls"] == ["c"]),
        (["--curve-points", "3"], lambda r: len({row["n_fit"] for row in r["curve"]}) == 3),
        (["--curve-points", "1"], lambda r: {row["n_fit"] for row in r["curve"]} == {120}),
        (["--alpha", "9"], lambda r: r["pairs"][1]["alpha"] == 9),
        (["--alpha", "gcv", "--alphas", "5,6"], lambda r: r["pairs"][1]["alpha"] in {5, 6}),
        (["--intercept", "homogeneous"], lambda r: r["intercept"] == "homogeneous"),
        (["--method", "procrustes", "--scale"], lambda r: r["method"] == "procrustes"),
        (["--prior", "analytic"], lambda r: r["prior"] == "analytic"),
        (["--precision", "float32"], lambda r: r["precision"] == "float32"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("undrawn")
def test_every_option_does_something(intertwine, study_folders, tmp_path, option, check):
    """Each option of the command reaches the study."""
    assert check(intertwine(*arguments(study_folders, tmp_path, "--json", *option)).json())


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_the_default_curve_has_eight_points_or_more(intertwine, study_folders, tmp_path):
    """Without options the curve has at least eight points."""
    result = intertwine(*arguments(study_folders, tmp_path, "--json")).json()
    assert len({row["n_fit"] for row in result["curve"]}) >= 8


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_folders_are_joined_by_id_and_it_is_said(intertwine, networks, tmp_path, write_folder):
    """Spaces of several folders are joined by id, and the report's notes say so."""
    nets = networks({"a": 8, "b": 6})
    rng, command = np.random.default_rng(0), ["closed-set", "--out", tmp_path / "report", "--json"]
    for part, n, seed in (("fit", 80, 1), ("eval", 60, 2)):
        features, labels = nets.rows(n, seed)
        order, ids = rng.permutation(n), [f"{part}{i}" for i in range(n)]
        write_folder(tmp_path / part, features, heads=nets.heads, labels=labels, ids=ids)
        a, b = tmp_path / f"{part}-a", tmp_path / f"{part}-b"
        head_a, head_b = ({name: nets.heads[name]} for name in "ab")
        write_folder(a, {"a": features["a"]}, heads=head_a, labels=labels, ids=ids)
        shuffled = [ids[row] for row in order]
        write_folder(b, {"b": features["b"][order]}, heads=head_b, ids=shuffled)
        command += [f"--{part}", a, f"--{part}", b]
    result = intertwine(*command).json()
    assert sum("another order; joined by id" in note for note in result["notes"]) == 2
    whole = intertwine(*arguments(tmp_path, tmp_path / "whole", "--json")).json()
    for row, same in zip(result["pairs"], whole["pairs"], strict=True):
        assert row["accuracy"] == same["accuracy"]
        assert row["r2"] == pytest.approx(same["r2"], abs=1e-9)


@pytest.mark.quick("None")
@pytest.mark.parametrize("prefix", ["same", None])
def test_rows_in_both_sets_need_a_word(intertwine, networks, tmp_path, prefix):
    """The same set twice is refused; with --allow-overlap the first thing said is that it was."""
    networks({"a": 8, "b": 6}).save(tmp_path / "fit", 60, 1, prefix=prefix)
    (tmp_path / "eval").symlink_to(tmp_path / "fit")
    line = arguments(tmp_path, tmp_path / "report", "--curve-points", "1")
    assert "60 of 60 evaluation rows are in the fit set" in intertwine(*line).error()
    assert not (tmp_path / "report").exists()
    done = intertwine(*line, "--allow-overlap")
    said = "60 of 60 evaluation rows were also fitted on: scores are too good"
    assert done.out.startswith(f"warning: {said}\n")
    assert "60 of 60 rows scored were fitted on: percent change" in done.out
    result = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (result["overlap"], result["warnings"], result["notes"][0]) == (60, [said], said)
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.index(said) < page.index('class="lede"') < page.index("On rows that maps were fit")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--control", "z"], "got control 'z', expected one of the spaces a, b, c"),
        (["--control-random", "a"], "does not say which encoder and images a came from"),
        (["--control-random", "z"], "no space 'z'"),
        (["--alpha", "x"], "got alpha x"),
        (["--device", "cuda:1"], "got device 'cuda:1'"),
        (["--precision", "fast", "--device", "cuda:99"], "got device 'cuda:99'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options_are_one_line_and_write_nothing(
    intertwine, study_folders, tmp_path, option, message
):
    """A value that cannot be is refused in one line, and there is no report."""
    done = intertwine(*arguments(study_folders, tmp_path / "report", *option))
    assert message in done.error()
    assert not (tmp_path / "report").exists()
