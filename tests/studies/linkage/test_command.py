import json
import signal
import subprocess
import time

import numpy as np
import pytest
from tests.studies.linkage.linkage_sets import FIRST_LABEL, label, write_sets
from tests.studies.results import assert_saved_as

from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.studies.linkage.study import linkage


@pytest.fixture(scope="module")
def sets(tmp_path_factory, write_folder):
    """Return folders of a gallery and of probes, over two systems."""
    return write_sets(tmp_path_factory.mktemp("linkage"), write_folder)


def arguments(sets, out, *more):
    """Return the command line of the study."""
    gallery, probe = sets
    return ["linkage", "--gallery", gallery, "--probe", probe, "--out", out, *more]


@pytest.fixture(scope="module")
def plain(installed, sets, tmp_path_factory):
    """Return what the command says of the sets without options, and where its report is."""
    out = tmp_path_factory.mktemp("plain") / "report"
    return installed(*arguments(sets, out, "--json")), out


def test_json_is_the_report_and_nothing_else(plain):
    """With --json standard output is one JSON object, equal to report.json, without NaN."""
    done, out = plain
    result = done.json()
    assert done.err == ""
    assert result == json.loads((out / "report.json").read_text())
    assert result["study"] == "linkage"
    conditions = {"native", "unmapped", "mapped", "self-trained"}
    assert {row["condition"] for row in result["pairs"]} == conditions


def test_the_numbers_are_those_of_the_study(plain, sets):
    """The command's object holds what the library's function returns, CCA unless told otherwise."""
    found = plain[0].json()
    gallery, probe = map(FeatureSet.open, sets)
    expected = linkage(gallery, probe, options=FitOptions(method="cca", alpha=1.0)).to_json()
    expected = json.loads(json.dumps(expected))
    for row in (*found["pairs"], *expected["pairs"]):
        row["seconds"] = None
    assert {key: found[key] for key in expected} == expected


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_save_writes_the_report_of_the_command(plain, sets, tmp_path):
    """A result of the library, saved, is the command's report in every byte of every file."""
    gallery, probe = map(FeatureSet.open, sets)
    result = linkage(gallery, probe, options=FitOptions(method="cca", alpha=1.0))
    seconds = [
        row["seconds"] for row in json.loads((plain[1] / "report.json").read_text())["pairs"]
    ]
    for row, took in zip(result.pairs, seconds, strict=True):
        row["seconds"] = took
    assert_saved_as(result, plain[1], tmp_path / "saved")


def test_the_table_and_the_report_are_named(intertwine, sets, tmp_path):
    """Without --json a table is printed, and the path of a page that is there."""
    more = ("--known", "8", "--overlap", "1,0.5")
    done = intertwine(*arguments(sets, tmp_path / "report", *more))
    assert done.code == 0
    assert done.err == ""
    page = tmp_path / "report" / "report.html"
    assert f"report: {page}" in done.out
    assert page.read_text().startswith("<!")
    result = json.loads((tmp_path / "report" / "report.json").read_text())
    for row in result["pairs"]:
        assert f"{100 * row['rank1']:.1f}" in done.out
    assert done.out.count("8 + all") == done.out.count("8 + 50 %") == 2
    assert "self-trained on unlabelled templates" in " ".join(done.out.split())


@pytest.mark.slow
def test_no_output_names_a_person(intertwine, sets, tmp_path, files_below):
    """No id and no label of the inputs stands in what is printed or in any file of the report."""
    out = tmp_path / "report"
    done = intertwine(*arguments(sets, out))
    printed = [done.out, intertwine(*arguments(sets, out, "--json")).out]
    written = [(out / name).read_bytes() for name in files_below(out)]
    assert len(written) >= 12
    labels = {str(label(person)) for person in range(400)} | {str(FIRST_LABEL)[:6]}
    ids = {line for folder in sets for line in (folder / "ids.txt").read_text().split()}
    for content in [*written, *(text.encode() for text in printed)]:
        for secret in labels | ids | {"Wren", "Okafor"}:
            assert secret.encode() not in content


def mapped(result, key="rank1"):
    """Return a number of the mapped conditions."""
    return [row[key] for row in result["pairs"] if row["condition"] == "mapped"]


@pytest.mark.quick("--folds 3-", "--attack paired-")
@pytest.mark.parametrize(
    ("option", "check"),
    [
        (["--known", "0,8,all"], lambda r: r["known"] == [0, 8, 24]),
        (["--folds", "3"], lambda r: (r["folds"], r["known"][-1]) == (3, 20)),
        (["--method", "ridge"], lambda r: r["method"] == "ridge"),
        (["--alpha", "5"], lambda r: r["alpha"] == 5),
        (["--rank", "1"], lambda r: max(mapped(r)) < 0.2),
        (["--precision", "float32"], lambda r: r["precision"] == "float32"),
        (["--attack", "paired"], lambda r: r["attack"] == "paired"),
        (["--overlap", "1, 0.5"], lambda r: r["overlap"] == [1.0, 0.5]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("undrawn")
def test_every_option_does_something(intertwine, plain, sets, tmp_path, option, check):
    """Each option of the command reaches the study, and is not its default."""
    quick = [] if {"--attack", "--overlap"} & {*option} else ["--attack", "paired"]
    assert check(intertwine(*arguments(sets, tmp_path, "--json", *quick, *option)).json())
    assert not check(plain[0].json())


@pytest.mark.quick("--method ridge---intercept none")
@pytest.mark.parametrize(
    ("without", "option"),
    [
        (["--method", "ridge"], ["--intercept", "none"]),
        (["--method", "procrustes"], ["--scale"]),
        (["--method", "ridge", "--alpha", "gcv"], ["--alphas", "1000"]),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("undrawn")
def test_options_of_a_method_reach_it(intertwine, sets, tmp_path, without, option):
    """An option that only some methods have changes their scores."""
    command = arguments(sets, tmp_path, "--json", "--attack", "paired", "--known", "8", *without)
    one, other = (intertwine(*command, *more).json() for more in ([], option))
    assert mapped(one, "d_sys") != mapped(other, "d_sys")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--known", "0,many"], "got many known people, expected all, 0, or 2 to 24"),
        (["--known", "1"], "got 1 known people"),
        (["--overlap", "1,half"], "got --overlap 'half', expected shares from 0 to 1"),
        (["--overlap", "2"], "got overlap 2, expected shares from 0 to 1"),
        (["--attack", "self-trained", "--method", "mean"], "got method mean, expected one of cca"),
        (["--folds", "1"], "got 1 fold, expected at least 2"),
        (["--device", "cuda:99"], "got device 'cuda:99'"),
        (["--method", "analytic"], "linkage has no heads"),
        (["--intercept", "none"], "method cca takes intercept free"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_option_is_one_line(intertwine, sets, tmp_path, option, message):
    """What cannot be done is said in one line, and nothing is written."""
    done = intertwine(*arguments(sets, tmp_path / "out", *option))
    assert message in done.error()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("side", ["gallery", "probe"])
def test_a_set_without_labels_is_one_line(intertwine, tmp_path, write_folder, side):
    """Both sides need identities, and the line says which lacks them."""
    sets = write_sets(tmp_path, write_folder)
    (tmp_path / side / "labels.npy").unlink()
    done = intertwine(*arguments(sets, tmp_path / "out"))
    assert f"{side}: no labels.npy; linkage needs the identity of each row" in done.error()
    assert not (tmp_path / "out").exists()


def test_a_vector_of_no_length_is_one_line(intertwine, tmp_path, write_folder):
    """A vector without a direction is named by its row, not by its person."""
    sets = write_sets(tmp_path, write_folder)
    array = np.load(tmp_path / "probe" / "b.npy")
    array[11] = 0
    np.save(tmp_path / "probe" / "b.npy", array)
    error = intertwine(*arguments(sets, tmp_path / "out")).error()
    assert "row 11 has length zero" in error
    assert "Wren" not in error


# -- kill -9 ----------------------------------------------------------------------------------


def kept(out):
    """Return when each file that a killed run left was written."""
    found = [path for path in (out / ".conditions").glob("*/*.json") if path.name[0] != "."]
    return {path.name: path.stat().st_mtime_ns for path in found}


def without_date(out):
    """Return a report's JSON text without the lines of its date, its command and what it took."""
    lines = (out / "report.json").read_text().splitlines()
    apart = ('"created"', '"command"', '"seconds"')
    return [line for line in lines if not line.lstrip().startswith(apart)]


@pytest.mark.slow
def test_kill_9_costs_only_the_condition_in_hand(command, sets, tmp_path):
    """After kills the same command goes on from the conditions it had, to the very same report."""

    def start(out):
        more = ("--known", "2,3,4,5,6,8,12,16,20,24")
        line = [command, *map(str, arguments(sets, out, *more))]
        return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert start(tmp_path / "whole").wait() == 0
    out, seen = tmp_path / "out", {}
    for wanted in (2, 9, 20):
        process = start(out)
        while len(kept(out)) < wanted and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        now = kept(out)
        assert len(now) >= wanted
        assert {name: now.get(name) for name in seen} == seen
        seen = now
    assert not (out / "report.json").exists()
    assert start(out).wait() == 0
    assert without_date(out) == without_date(tmp_path / "whole")
    assert not (out / ".conditions").exists()
