import json

import pytest

from intertwine.errors import InputError
from intertwine.report.folder import check_folder, write_folder
from intertwine.storage.files import json_bytes

STUDIES = ["closed-set", "open-set", "similarity", "linkage", "plan"]


def files(study, **more):
    """Return the least that a report holds."""
    return {"report.json": json_bytes({"study": study, **more}), "report.html": b"page"}


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("held", STUDIES)
def test_a_folder_belongs_to_one_study(tmp_path, study, held):
    """A report is replaced by its own study's, and another study's is refused and left as it was."""
    write_folder(tmp_path, files(held, run=1))
    if study == held:
        check_folder(tmp_path, study)
        write_folder(tmp_path, files(study, run=2))
        assert json.loads((tmp_path / "report.json").read_text())["run"] == 2
        return
    for refused in (
        lambda: check_folder(tmp_path, study),
        lambda: write_folder(tmp_path, files(study, run=2)),
    ):
        with pytest.raises(
            InputError, match=f"holds an? {held} report; name another folder .--out."
        ):
            refused()
    assert (tmp_path / "report.json").read_bytes() == files(held, run=1)["report.json"]


@pytest.mark.parametrize("text", ["{}", "[1]", "not JSON", '{"study": 3}', '{"results": []}', "[]"])
def test_somebody_elses_report_is_left_alone(tmp_path, text):
    """A report.json that no study wrote is not overwritten."""
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(InputError, match="is no report of a study"):
        write_folder(tmp_path, files("plan"))
    assert (tmp_path / "report.json").read_text() == text


def test_what_an_earlier_report_had_more_is_removed_and_the_rest_stays(tmp_path):
    """Figures of the earlier report that the new one lacks go; files of others stay."""
    write_folder(tmp_path, {"roc.png": b"old", **files("open-set")}, optional=["roc.png"])
    (tmp_path / "notes.txt").write_text("mine")
    write_folder(tmp_path, files("open-set"), optional=["roc.png"])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["notes.txt", "report.html", "report.json"]


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("set", "is the input"),
        ("set/report", "lies in the input"),
        ("link/report", "lies in the input"),
        ("other/../set", "is the input"),
    ],
)
def test_an_input_is_no_place_for_a_report(tmp_path, out, words):
    """A report goes neither to a set that is read nor inside it, whatever its path is called."""
    (tmp_path / "set").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "set")
    with pytest.raises(InputError, match=words):
        check_folder(tmp_path / out, "plan", [tmp_path / "elsewhere", tmp_path / "set"])
    assert list((tmp_path / "set").iterdir()) == []


def test_a_folder_beside_or_above_an_input_is_free(tmp_path):
    """A report may lie beside an input, or an input inside the report's folder."""
    (tmp_path / "out" / "set").mkdir(parents=True)
    check_folder(tmp_path / "out", "similarity", [tmp_path / "out" / "set"])
    check_folder(tmp_path / "out" / "set-report", "similarity", [tmp_path / "out" / "set"])
