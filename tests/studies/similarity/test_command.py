import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.studies.results import assert_saved_as

from intertwine.features.feature_set import FeatureSet
from intertwine.metrics import rank_correlation
from intertwine.passes.moments.groups import grouped_moments
from intertwine.similarity.measures import MEASURES, MOMENT_MEASURES, ROW_MEASURES
from intertwine.studies.similarity.lookup import SimilarityStudy
from intertwine.studies.similarity.study import similarity

IDS = [f"row {i}" for i in range(240)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, networks, write_folder):
    """Return a feature set of four spaces, two of them layers of one network."""
    features, _ = networks({"net.1": 12, "net.2": 9, "b": 14, "c": 8}).rows(240, 1)
    return write_folder(tmp_path_factory.mktemp("set"), features, ids=IDS)


@pytest.fixture(scope="module")
def plain(installed, folder, tmp_path_factory):
    """Return what the command says of the set without options, and where its report is."""
    out = tmp_path_factory.mktemp("plain") / "report"
    return installed(*arguments(folder, out, "--json")), out


def arguments(folder, out, *more):
    """Return the command line of the study."""
    return ["similarity", folder, "--out", out, *more]


def without_date(path):
    """Return a report's JSON text without the lines of its date and of its command."""
    lines = (path / "report.json").read_text().splitlines()
    kept = [line for line in lines if not line.lstrip().startswith(('"created"', '"command"'))]
    assert len(kept) == len(lines) - 2
    return kept


def test_json_is_the_report_and_nothing_else(plain):
    """With --json standard output is one JSON object, equal to report.json, without NaN."""
    done, out = plain
    result = done.json()
    assert done.err == ""
    assert result == json.loads((out / "report.json").read_text())
    assert result["study"] == "similarity"
    assert result["closed_set"] is None
    assert len(result["pairs"]) == 16
    assert not (out / ".moments").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_save_writes_the_report_of_the_command(plain, folder, tmp_path):
    """A result of the library, saved, is the command's report in every byte of every file."""
    result = similarity(FeatureSet.open(folder), scratch=tmp_path / "scratch")
    assert_saved_as(result, plain[1], tmp_path / "saved")


def test_every_row_has_the_declared_fields(plain):
    """What the study writes holds every field that its tables declare, by its own measures."""
    study = SimilarityStudy.of(plain[0].json())
    # A measure's range is one value in the report, and two columns in its file.
    given = {"low", "high", "index"}
    for table in (*study.tables, study.pairs_schema):
        rows = study.rows(table.name)
        assert all(set(table.columns) - given <= set(row) for row in rows), table.name


@pytest.mark.slow
def test_the_numbers_are_those_of_the_study(plain, folder, tmp_path):
    """The command's object holds what the library's function returns."""
    found = plain[0].json()
    expected = similarity(FeatureSet.open(folder), scratch=tmp_path / "scratch").to_json()
    expected = json.loads(json.dumps(expected))
    assert {key: found[key] for key in expected} == expected


def test_the_table_and_the_report_are_named(intertwine, folder, tmp_path):
    """Without --json a table is printed, and the path of a page that is there."""
    done = intertwine(*arguments(folder, tmp_path / "report"))
    assert done.code == 0
    assert done.err == ""
    page = tmp_path / "report" / "report.html"
    assert f"report: {page}" in done.out
    assert page.read_text().startswith("<!")
    result = json.loads((tmp_path / "report" / "report.json").read_text())
    for row in result["pairs"]:
        assert row["source"] in done.out
        assert f"{row['cka_debiased_calibrated']:.2f}".replace("-", "−") in done.out
    assert (tmp_path / "report" / "pairs.csv").exists()


def names_of(result):
    """Return the names of the measures in a result."""
    return [measure["name"] for measure in result["measures"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "check"),
    [
        (["--control", "c"], lambda r: r["controls"] == ["c"]),
        (["--layers", "net"], lambda r: "net" in [s["network"] for s in r["spaces"]]),
        (["--groups", "24"], lambda r: r["n_groups"] == 24),
        (["--sample", "100"], lambda r: r["sample_rows"] == 100),
        (["--sample", "0"], lambda r: names_of(r) == list(MOMENT_MEASURES)),
        (
            ["--neighbours", "3"],
            lambda r: abs(r["pairs"][1]["mutual_knn_null"] - 3 / 99) < 1e-12,
        ),
        (["--cca-alpha", "9"], lambda r: r["cca_alpha"] == 9),
        (["--variance", "0.5"], lambda r: all(s["kept"] < 5 for s in r["spaces"])),
        (["--precision", "float32"], lambda r: r["precision"] == "float32"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("undrawn")
def test_every_option_does_something(intertwine, plain, folder, tmp_path, option, check):
    """Each option of the command reaches the study, and is not its default."""
    small = [] if "--sample" in option else ["--sample", "100"]
    assert check(intertwine(*arguments(folder, tmp_path, "--json", *small, *option)).json())
    assert not check(plain[0].json())


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_penalty_lowers_cca_and_not_the_others(intertwine, plain, folder, tmp_path):
    """--cca-alpha changes CCA and PWCCA, and no other measure."""
    command = arguments(folder, tmp_path, "--json", "--cca-alpha", "50")
    rows, others = intertwine(*command).json()["pairs"], plain[0].json()["pairs"]
    for row, same in zip(rows, others, strict=True):
        if row["source"] == row["target"]:
            continue
        for name in MEASURES:
            if name in {"cca_mean", "pwcca"}:
                assert row[name] < same[name] - 0.01
            else:
                assert row[name] == pytest.approx(same[name], rel=1e-9, abs=1e-12)


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_two_runs_give_the_same_bytes(intertwine, plain, folder, tmp_path, files_below):
    """The report's numbers are the same to the bit in a second run, tables and figures too."""
    first, second = plain[1], tmp_path / "report"
    assert intertwine(*arguments(folder, second)).code == 0
    assert without_date(first) == without_date(second)
    assert files_below(first) == files_below(second)
    for name in files_below(first):
        if name.endswith((".csv", ".tex", ".png")):
            assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_folders_are_joined_by_id_whatever_their_order(
    intertwine, plain, folder, tmp_path, write_folder
):
    """Spaces of folders in another order give the same numbers, and a note says they were joined."""
    order = np.random.default_rng(0).permutation(240)
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    first = write_folder(
        tmp_path / "first", {"b": arrays.pop("b")[order]}, ids=np.array(IDS)[order]
    )
    rest = write_folder(tmp_path / "rest", arrays, ids=IDS)
    command = ["similarity", first, rest, "--out", tmp_path / "joined", "--json"]
    found = intertwine(*command).json()
    assert any("joined by id" in note for note in found["notes"])
    whole = plain[0].json()
    expected = {(row["source"], row["target"]): row for row in whole["pairs"]}
    for row in found["pairs"]:
        for name in MEASURES:
            for end in ("", "_low", "_high"):
                value = expected[row["source"], row["target"]][f"{name}{end}"]
                assert row[f"{name}{end}"] == pytest.approx(value, rel=1e-6, abs=1e-8)


# -- a closed-set report ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def swapped(tmp_path_factory, networks):
    """Return a set of five networks and the folder of a closed-set report over them."""
    folder = tmp_path_factory.mktemp("swapped")
    nets = networks({"a": 12, "b": 9, "c": 14, "d": 8, "e": 10})
    nets.save(folder / "set", 120, 1, prefix="f")
    features, _ = nets.rows(40, 2)
    rows = [
        {
            "source": source,
            "target": target,
            "accuracy": 0.5,
            "percent_change": -float(np.abs(features[source].mean() - features[target].mean())),
        }
        for source in nets.dims
        for target in nets.dims
    ]
    (folder / "report").mkdir()
    report = {"study": "closed-set", "controls": ["e"], "pairs": rows}
    (folder / "report" / "report.json").write_text(json.dumps(report))
    return folder


@pytest.mark.slow
def test_a_closed_set_report_is_compared_with_every_measure(
    intertwine, swapped, tmp_path, monkeypatch
):
    """--closed-set fills the tables of swaps and of correlations, and names the report."""
    monkeypatch.setattr(rank_correlation, "BOOTSTRAP_DRAWS", 60)
    command = arguments(swapped / "set", tmp_path / "report", "--json")
    result = intertwine(*command, "--closed-set", swapped / "report").json()
    assert result["closed_set"] == "report"
    assert len(result["swaps"]) == 20
    assert [row["measure"] for row in result["interchangeability"]] == list(MEASURES)
    for row in result["interchangeability"]:
        assert row["n_networks"] == 5
        assert row["ci_low"] <= row["spearman"] <= row["ci_high"]
    assert (tmp_path / "report" / "interchangeability.csv").exists()


# -- moments as input -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moment_files(folder, tmp_path_factory):
    """Return files of moments of all rows and of 20 row groups."""
    place = tmp_path_factory.mktemp("moments")
    opened = FeatureSet.open(folder)
    groups = grouped_moments(opened, list(opened.spaces), scratch=place / "unused")
    groups.total.save(place / "whole.safetensors")
    parts = [place / f"part-{number}.safetensors" for number in range(len(groups))]
    for number, path in enumerate(parts):
        groups.part(number).save(path)
    return place / "whole.safetensors", parts


@pytest.mark.slow
def test_one_file_of_moments_gives_scores_and_says_what_is_missing(
    intertwine, plain, moment_files, tmp_path
):
    """From moments alone come scores of a set without intervals, row measures and R²."""
    found = intertwine(*arguments(moment_files[0], tmp_path / "moments", "--json")).json()
    whole = plain[0].json()
    assert found["inputs"] == ["whole.safetensors"]
    assert found["n_groups"] is found["sample_rows"] is None
    assert not set(names_of(found)) & set(ROW_MEASURES)
    for row, same in zip(found["pairs"], whole["pairs"], strict=True):
        if row["source"] != row["target"]:
            assert row["cka"] == pytest.approx(same["cka"], rel=1e-12)
            assert row["cka_low"] is row["r2"] is None
            assert "give the feature set" in row["reason"]


@pytest.mark.slow
def test_files_of_moments_are_row_groups(intertwine, plain, moment_files, tmp_path):
    """From the moments of row groups come the intervals and R² of the set itself."""
    command = ["similarity", *moment_files[1], "--out", tmp_path / "moments", "--json"]
    found = intertwine(*command).json()
    assert found["n_groups"] == 20
    for row, same in zip(found["pairs"], plain[0].json()["pairs"], strict=True):
        for key, value in same.items():
            if isinstance(value, float) and not key.startswith(ROW_MEASURES):
                assert row[key] == pytest.approx(value, rel=1e-9, abs=1e-9), key


# -- kill -9 ----------------------------------------------------------------------------------

# Every group goes to a file, so that there is something to go on from.
SCRIPT = """
import sys
from intertwine import cli
from intertwine.passes.moments import groups
groups.IN_MEMORY_BYTES = groups.REMADE_ROWS = 0
print("ready", flush=True)
cli.main()
"""


@pytest.fixture
def start(tmp_path, write_folder):
    """Return a function that starts the command in a process of its own."""
    rng = np.random.default_rng(0)
    cause = rng.standard_normal((6000, 10))
    spaces = {
        name: (cause @ rng.standard_normal((10, d))).astype(np.float32)
        for name, d in {"a": 150, "b": 90, "c": 120}.items()
    }
    write_folder(tmp_path / "set", spaces)

    def run(out):
        options = ["similarity", "set", "--out", out, "--sample", "0", "--precision", "float64"]
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *options],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    return run


def finish(process):
    """Let a run end; return the seconds that it took once it had been loaded."""
    with process:
        process.stdout.readline()
        began = time.monotonic()
        process.stdout.read()
        assert process.wait() == 0
    return time.monotonic() - began


def scratch_files(out):
    """Return the files of finished work."""
    return [*out.glob(".moments/group-*"), *out.glob(".moments/without-*")]


def kept(out):
    """Return when each file that a killed run left was written."""
    return {path.name: path.stat().st_mtime_ns for path in scratch_files(out)}


@pytest.mark.slow
def test_kill_9_at_any_moment_costs_only_the_group_in_hand(start, tmp_path):
    """After kills at random moments the same command gives the report of an undisturbed run.

    Groups that were done are not done again: their files stay as they were from kill to kill.
    """
    rng, seconds = np.random.default_rng(0), finish(start("whole"))
    out, seen, kills, resumed = tmp_path / "out", {}, 0, 0
    while kills < 6:
        with start("out") as process:
            process.stdout.readline()
            # Some files further than before, so that a slow machine is killed at work too.
            wanted = len(seen) + rng.integers(0, 12)
            while len(scratch_files(out)) < wanted and process.poll() is None:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.02) * seconds)
            process.send_signal(signal.SIGKILL)
            kills += process.wait() != 0
        if (out / "report.json").exists():
            # It got as far as its report, which must then be whole.
            assert without_date(out) == without_date(tmp_path / "whole")
            shutil.rmtree(out)
            seen = {}
            continue
        now = kept(out)
        assert {name: now.get(name) for name in seen} == seen
        resumed += len(now) > len(seen) > 0
        seen = now
    assert resumed >= 1
    finish(start("out"))
    assert without_date(out) == without_date(tmp_path / "whole")
    assert not (out / ".moments").exists()
    assert not (tmp_path / "whole" / ".moments").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--control", "z"], "got control 'z', expected one of the spaces"),
        (["--layers", "z"], "got --layers z, expected at least two spaces named z.LAYER"),
        (["--groups", "19"], "got 19 row groups, expected at least 20"),
        (["--sample", "1"], "got a sample of 1 row, expected 2 … 20000"),
        (["--sample", "20001"], "got a sample of 20001 rows"),
        (["--neighbours", "0"], "got k = 0 neighbours, expected 1 to 239"),
        (["--neighbours", "240"], "got k = 240 neighbours"),
        (["--cca-alpha", "-1"], "got CCA λ -1.0, expected a number of at least 0"),
        (["--cca-alpha", "nan"], "got CCA λ nan"),
        (["--cca-alpha", "inf"], "got CCA λ inf"),
        (["--variance", "0"], "got variance 0.0, expected a share"),
        (["--variance", "nan"], "got variance nan"),
        (["--precision", "fast", "--sample", "0", "--device", "cuda:98"], "cuda:98"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--device", "tpu"], "'tpu'"),
        (["--closed-set", "nowhere"], "nowhere: no report.json there, expected a closed-set"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options_are_one_line_and_write_nothing(
    intertwine, folder, tmp_path, files_below, option, message
):
    """A value that cannot be is refused in one line, and there is no report."""
    done = intertwine(*arguments(folder, tmp_path / "report", *option))
    assert message in done.error()
    assert files_below(tmp_path) == []


@pytest.mark.slow
def test_a_report_of_another_study_is_one_line(intertwine, folder, tmp_path):
    """A similarity report in place of a closed-set one is refused by what it is."""
    assert intertwine(*arguments(folder, tmp_path / "one", "--sample", "0")).code == 0
    command = arguments(folder, tmp_path / "two", "--closed-set", tmp_path / "one")
    done = intertwine(*command)
    assert "got a report of the study similarity, expected closed-set" in done.error()
    assert not (tmp_path / "two").exists()
