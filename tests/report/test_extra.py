"""Reports where what draws them is not installed."""

import json
import subprocess
import sys

import pytest
from tests.studies.closed_set.closed_set_result import build_report
from tests.studies.open_set.open_set_result import build_open_set
from tests.studies.plan.plan_result import build_plan
from tests.studies.similarity.similarity_result import build_result

from intertwine.report import lacks_extra
from intertwine.studies.closed_set.report import write_closed_set_report
from intertwine.studies.open_set.report import write_open_set_report
from intertwine.studies.plan.report import write_plan_report
from intertwine.studies.similarity.report import write_similarity_report

STUDIES = {
    "closed-set": (build_report, write_closed_set_report),
    "open-set": (build_open_set, write_open_set_report),
    "plan": (build_plan, write_plan_report),
    "similarity": (build_result, write_similarity_report),
}
DRAWN = {".html", ".png", ".svg", ".tex"}
# Runs a command line where nothing can be imported that draws.
BLOCKED = (
    "import sys; sys.modules.update(dict.fromkeys(['jinja2', 'matplotlib', 'markupsafe']));"
    "from intertwine.cli import main; main()"
)


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named_with_its_pip_line(monkeypatch, module):
    """Without a library of the extra, what is said is the pip line that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    assert lacks_extra() == f"{module} is not installed; run: pip install 'intertwine[report]'"


def test_nothing_is_said_when_all_is_there():
    """With the extra installed nothing is lacking."""
    assert lacks_extra() is None


@pytest.mark.parametrize("study", STUDIES)
def test_numbers_are_written_without_it(monkeypatch, tmp_path, study):
    """The object and the tables are the report, and no page or figure of an older one is left."""
    build, write = STUDIES[study]
    name = "similarity" if study == "similarity" else "table"
    old = ["report.html", f"{name}.tex", *([] if study == "plan" else [f"{name}.png"]), "curve.svg"]
    old = [each for each in old if (study, each) != ("similarity", "curve.svg")]
    for each in old:
        (tmp_path / each).write_text("of an older report")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = json.loads(json.dumps(build()))
    assert write(result, tmp_path) == tmp_path / "report.json"
    assert json.loads((tmp_path / "report.json").read_text()) == result
    names = {path.name for path in tmp_path.iterdir()}
    assert "pairs.csv" in names
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".csv"}


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_numbers_do_not_depend_on_it(monkeypatch, tmp_path, study):
    """The object and the tables are the same bytes with and without it; drawn files are removed."""
    build, write = STUDIES[study]
    result = json.loads(json.dumps(build()))
    assert write(result, tmp_path) == tmp_path / "report.html"
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write(result, tmp_path)
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert left == {name: data for name, data in whole.items() if name[-4:] in {"json", ".csv"}}
    monkeypatch.undo()
    write(result, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole


@pytest.mark.parametrize(
    "study",
    ["closed-set", *(pytest.param(each, marks=pytest.mark.slow) for each in ("linkage", "plan"))],
)
def test_a_study_runs_without_it(study_folders, tmp_path, study):
    """A command prints its table, names the report, and says once how to get a page."""
    fit, evaluation = study_folders / "fit", study_folders / "eval"
    inputs = {
        "closed-set": ["--fit", fit, "--eval", evaluation],
        "linkage": ["--gallery", fit, "--probe", evaluation],
        "plan": ["--pairs", fit, "--source", "a", "--target", "b"],
    }[study]
    out = tmp_path / "report"
    line = [sys.executable, "-c", BLOCKED, study, *map(str, inputs), "--out", str(out)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode in ({0, 3} if study == "plan" else {0}), done.stderr
    assert f"report: {out / 'report.json'}" in done.stdout.splitlines()
    assert done.stderr.count("pip install 'intertwine[report]'") == 1
    assert not DRAWN & {path.suffix for path in out.iterdir()}
