import csv
import json
import signal
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest
from tests.faces import Faces
from tests.studies.results import assert_saved_as

from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.maps.linear_map import LinearMap
from intertwine.studies.open_set.options import OpenSetOptions
from intertwine.studies.open_set.pairs import read_pairs
from intertwine.studies.open_set.study import open_set

FACES = Faces({"a": 8, "b": 6}, noise=0.4)
QUICK = ("--replicates", 20, "--curve-points", 0, "--json")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Return the folder and the list of pairs of made-up people."""
    path = tmp_path_factory.mktemp("faces")
    return FACES.folder(path / "set"), FACES.official(path / "pairs.txt")


def line(inputs, out, *more):
    """Return a command line."""
    return ["open-set", inputs[0], "--pairs", inputs[1], "--out", out, *more]


@pytest.fixture(scope="module")
def whole(installed, inputs, tmp_path_factory):
    """Return what the command says with its defaults, and where its report is."""
    out = tmp_path_factory.mktemp("whole") / "report"
    return installed(*line(inputs, out, "--json", "--curve-points", 3)), out


def test_json_is_the_report(whole):
    """With --json standard output is the object of report.json, and nothing else."""
    done, out = whole
    result = done.json()
    assert done.err == ""
    assert result == json.loads((out / "report.json").read_text())
    assert (result["study"], result["fit"], result["intercept"]) == (
        "open-set",
        "matched-pairs",
        "free",
    )
    assert (result["inputs"], result["pairs_file"]) == (["set"], "pairs.txt")


def test_the_report_holds_page_tables_and_figures(whole):
    """The folder holds a self-contained page, figures and a CSV a table in full precision."""
    done, out = whole
    html = (out / "report.html").read_text()
    assert "http" not in html.replace("http://www.w3.org", "")
    rows = list(csv.DictReader((out / "pairs.csv").read_text().splitlines()))
    for row, expected in zip(rows, done.json()["pairs"], strict=True):
        assert float(row["accuracy"]) == expected["accuracy"]
        assert float(row["auc"]) == expected["auc"]
        assert row["tar_at_far_1e-2"] == ""
        assert expected["tar_at_far_1e-2"] is None
        assert "needs 100 mismatched pairs, there are 60" in expected["reason"]
    names = {path.name for path in out.iterdir()}
    assert {"natives.csv", "folds.csv", "curve.csv", "roc.csv", "table.png"} <= names


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_save_writes_the_report_of_the_command(whole, inputs, tmp_path):
    """A result of the library, saved, is the command's report in every byte of every file."""
    options = OpenSetOptions(curve_points=3)
    result = open_set(FeatureSet.open(inputs[0]), read_pairs(inputs[1]), options=options)
    assert_saved_as(result, whole[1], tmp_path / "saved")


def test_no_id_of_a_person_is_written(whole):
    """Nothing that the command writes or prints names a person or an image."""
    done, out = whole
    texts = [done.out, *(p.read_text() for p in out.iterdir() if p.suffix != ".png")]
    assert not any("Person_" in text for text in texts)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_the_paper_protocol_is_its_options(intertwine, inputs, tmp_path):
    """--protocol paper equals ridge λ = 1 without intercept on matched pairs."""
    paper = intertwine(*line(inputs, tmp_path / "a", *QUICK, "--protocol", "paper")).json()
    typed = intertwine(*line(inputs, tmp_path / "b", *QUICK, "--intercept", "none")).json()
    assert paper["pairs"] == typed["pairs"]
    assert (paper["protocol"], typed["protocol"]) == ("paper", None)
    options = OpenSetOptions(method=FitOptions(intercept="none"), replicates=20, curve_points=0)
    found = open_set(FeatureSet.open(inputs[0]), read_pairs(inputs[1]), options=options).to_json()
    assert found["pairs"] == paper["pairs"]


@pytest.mark.slow
def test_a_protocol_refuses_what_contradicts_it(intertwine, inputs, tmp_path):
    """An option that a protocol decides otherwise is refused, and one that agrees is not."""
    more = ("--protocol", "paper", "--fit", "images")
    done = intertwine(*line(inputs, tmp_path / "a", *QUICK, *more))
    assert "got --fit images with --protocol paper, which decides it" in done.error()
    assert not (tmp_path / "a").exists()
    more = ("--protocol", "paper", "--fit", "matched-pairs", "--alpha", 1)
    assert intertwine(*line(inputs, tmp_path / "a", *QUICK, *more)).code == 0


def test_a_path_needs_a_separator(intertwine, inputs, tmp_path):
    """A value of --fit that is no word it knows says how a path is written."""
    done = intertwine(*line(inputs, tmp_path / "a", *QUICK, "--fit", "other"))
    assert "got --fit other, expected matched-pairs, images, or a path" in done.error()
    assert "such as ./other" in done.err


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_the_best_protocol(intertwine, inputs, tmp_path):
    """--protocol best maps both sides where asked, and decides method and threshold itself."""
    more = ("--protocol", "best", "--space", "shared")
    result = intertwine(*line(inputs, tmp_path / "a", *QUICK, *more)).json()
    assert (result["protocol"], result["space"], result["method"]) == ("best", "shared", "cca")
    done = intertwine(*line(inputs, tmp_path / "b", *QUICK, *more, "--alpha", 1))
    assert "got --alpha 1 with --protocol best, which decides it" in done.error()
    done = intertwine(*line(inputs, tmp_path / "b", *QUICK, "--space", "shared"))
    assert "got space shared, which protocol best takes" in done.error()


@pytest.mark.quick("cca")
@pytest.mark.parametrize("method", ["ridge", "cca"])
@pytest.mark.usefixtures("undrawn")
def test_maps_and_sets_from_elsewhere(intertwine, inputs, tmp_path, method):
    """Maps fitted on another set serve as its map files do, where rows are units already."""
    other = Faces({"a": 8, "b": 6}, noise=0.4)
    unit = {
        name: array / np.linalg.norm(array, axis=1, keepdims=True)
        for name, array in other.features.items()
    }
    other.features = unit
    folder = other.folder(tmp_path / "other")
    more = ("--method", method)
    intertwine("fit", folder, "--out", tmp_path / "maps", *more)
    results = {
        kind: intertwine(
            *line(inputs, tmp_path / f"{kind}-report", *QUICK, *more, "--fit", tmp_path / name)
        ).json()
        for kind, name in (("set", "other"), ("maps", "maps"))
    }
    assert [results[kind]["fit"] for kind in results] == list(results)
    assert results["set"]["fit_inputs"] == ["other"]
    for a, b in zip(*(result["pairs"] for result in results.values()), strict=True):
        assert a["accuracy"] == b["accuracy"]
        assert a["auc"] == pytest.approx(b["auc"], abs=1e-6)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.usefixtures("undrawn")
def test_maps_fitted_on_images_that_are_tested(intertwine, inputs, tmp_path, equal):
    """A set to fit on that holds the tested images, or other rows of their ids, is doubted first."""
    other = Faces({"a": 8, "b": 6}, noise=0.4, **({} if equal else {"seed": 1}))
    folder = other.folder(tmp_path / "other")
    found = intertwine(*line(inputs, tmp_path / "out", *QUICK, "--fit", folder)).json()
    words = "are in" if equal else "have ids of"
    n = len(FACES.features["a"])
    assert found["warnings"][0].startswith(f"{n} of {n} images of {inputs[0]} {words} {folder}")
    assert found["notes"][0] == found["warnings"][0]


def maps_of(intertwine, folder, maps, *more):
    """Fit maps on a folder; return theirs."""
    assert intertwine("fit", folder, "--out", maps, *more).code == 0
    return maps


@pytest.mark.quick("features-ridge", "ids-ridge")
@pytest.mark.parametrize("method", ["ridge", "cca"])
@pytest.mark.parametrize("told", ["ids", "features"])
@pytest.mark.usefixtures("undrawn")
def test_ready_maps_fitted_on_images_that_are_tested(intertwine, inputs, tmp_path, told, method):
    """Maps that were fitted on tested images, told by ids or by features, are doubted first."""
    other = Faces({"a": 8, "b": 6}, noise=0.4, **({"seed": 1} if told == "ids" else {}))
    folder = other.folder(tmp_path / "other")
    if told == "features":
        (folder / "ids.txt").unlink()
    maps = maps_of(intertwine, folder, tmp_path / "maps", "--method", method)
    found = intertwine(*line(inputs, tmp_path / "out", *QUICK, "--fit", maps)).json()
    n = len(FACES.features["a"])
    assert found["warnings"][0] == (
        f"these maps were fitted on images of {inputs[0]}, which are tested: {n} of {n} that a map "
        "keeps a mark of; rates are too good"
    )
    assert found["notes"][0] == found["warnings"][0]


def without_marks(maps):
    """Write maps again as they were before maps kept marks of rows."""
    for path in maps.iterdir():
        replace(LinearMap.load(path), fitted_on=None).save(path)


@pytest.mark.quick(
    "moments-they keep no mark of those they were fitted on",
    "fit ids-the images that they were fitted on had no ids.txt",
)
@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("marks", "they keep no mark of those they were fitted on"),
        ("moments", "they keep no mark of those they were fitted on"),
        ("fit ids", "the images that they were fitted on had no ids.txt"),
        ("nothing", None),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_ready_maps_of_unknown_images(intertwine, inputs, tmp_path, missing, why):
    """Where nobody can say what maps were fitted on, that is the first doubt; else there is none."""
    other = Faces({"a": 8, "b": 6}, noise=0.4, seed=1)
    folder = other.folder(tmp_path / "other")
    names = (folder / "ids.txt").read_text().replace("_", "-other_")
    (folder / "ids.txt").write_text(names)
    if missing == "fit ids":
        (folder / "ids.txt").unlink()
    if missing == "moments":
        assert intertwine("moments", folder, "--out", tmp_path / "moments").code == 0
        folder = tmp_path / "moments"
    maps = maps_of(intertwine, folder, tmp_path / "maps")
    if missing == "marks":
        without_marks(maps)
    found = intertwine(*line(inputs, tmp_path / "out", *QUICK, "--fit", maps)).json()
    question = "these maps may have been fitted on images tested here: not known, since "
    doubts = [note for note in found["notes"] if note.startswith("these maps")]
    assert doubts == ([] if why is None else [question + why])
    assert found["warnings"][:1] == (doubts or found["warnings"][:1])


@pytest.mark.slow
def test_the_table_for_a_person(intertwine, inputs, tmp_path):
    """Without --json the table, the do-nothing line and the report's path are printed."""
    done = intertwine(*line(inputs, tmp_path / "r", "--replicates", 0, "--curve-points", 0))
    assert done.code == 0, done.err
    assert "Verification accuracy (%) over 4 folds of 120 pairs" in done.out
    assert "native" in done.out
    assert "without a map" in done.out
    assert "report.html" in done.out.replace("\n", "")


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        ("pairs.txt", lambda p: p.write_text("a,b,1,1\nc d 1\n"), "one file holds one form"),
        ("pairs.txt", lambda p: p.write_text("a,b,1,1\na,c,0,1\na,c,0,2\n"), "no matched pairs"),
        ("pairs.txt", lambda p: p.unlink(), "cannot be read as a list of pairs"),
        ("set/b.npy", lambda p: p.unlink(), "got one space, a"),
        (
            "set/ids.txt",
            lambda p: p.write_text("".join(f"{i}\n" for i in range(144))),
            "images that",
        ),
        ("set/a.npy", lambda p: np.save(p, np.zeros_like(np.load(p))), "has length zero"),
    ],
    ids=["mixed", "no matched", "absent", "one space", "ids", "zero"],
)
def test_bad_input_is_one_line(intertwine, tmp_path, file, spoil, message):
    """What cannot be verified is one clear line, and no report is begun."""
    folder, pairs = FACES.folder(tmp_path / "set"), FACES.official(tmp_path / "pairs.txt")
    spoil(tmp_path / file)
    done = intertwine(*line((folder, pairs), tmp_path / "out", *QUICK))
    assert message in done.error()
    assert not (tmp_path / "out" / "report.json").exists()


# -- kill -9 ----------------------------------------------------------------------------------


def start(command, folder, out):
    """Start the command in a process of its own, with maps that take a while."""
    options = ["--fit", "images", "--threshold", "crossfit", "--replicates", "6", "--refit"]
    return subprocess.Popen(
        [command, *map(str, line(folder, out, *options))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kept(out):
    """Return when each file that a killed run left was written."""
    found = [path for path in (out / ".scores").glob("*.safetensors") if path.name[0] != "."]
    return {path.name: path.stat().st_mtime_ns for path in found}


def without_date(out):
    """Return a report's JSON text without the lines of its date and of its command."""
    lines = (out / "report.json").read_text().splitlines()
    return [line for line in lines if not line.lstrip().startswith(('"created"', '"command"'))]


@pytest.mark.slow
def test_kill_9_costs_only_the_folds_in_hand(command, tmp_path):
    """After kills the same command goes on from what it had scored, to the very same report."""
    faces = Faces({"a": 90, "b": 70}, people=40, per_kind=60)
    inputs = faces.folder(tmp_path / "set"), faces.official(tmp_path / "pairs.txt")
    assert start(command, inputs, tmp_path / "whole").wait() == 0
    out, seen, resumed = tmp_path / "out", {}, 0
    for wanted in (3, 12, 30, 55):
        process = start(command, inputs, out)
        while len(kept(out)) < wanted and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        now = kept(out)
        assert {name: now.get(name) for name in seen} == seen
        resumed += len(now) > len(seen) > 0
        seen = now
    assert resumed >= 2
    assert not (out / "report.json").exists()
    assert start(command, inputs, out).wait() == 0
    assert without_date(out) == without_date(tmp_path / "whole")
    assert not (out / ".scores").exists()
