import pytest


def lines(folders):
    """Return a command line of each study of one feature set, by study."""
    return {
        "closed-set": ["closed-set", "--fit", folders / "fit", "--eval", folders / "eval"],
        "similarity": ["similarity", folders / "fit", "--sample", "0"],
        "linkage": ["linkage", "--gallery", folders / "fit", "--probe", folders / "eval"],
        "open-set": ["open-set", folders / "fit", "--pairs", folders / "pairs.csv"],
        "plan": ["plan", "--pairs", folders / "fit", "--source", "a", "--target", "b"],
    }


@pytest.mark.parametrize("study", ["similarity", "linkage", "open-set", "plan"])
def test_another_studys_folder_is_refused_before_work(
    intertwine, study_folders, tmp_path, files_below, study
):
    """The report of one study is not mixed with another's, and nothing is left of the attempt."""
    (tmp_path / "rep").mkdir()
    (tmp_path / "rep" / "report.json").write_text('{"study": "closed-set"}')
    done = intertwine(*lines(study_folders)[study], "--out", tmp_path / "rep")
    assert (
        f"{tmp_path / 'rep'} holds a closed-set report; name another folder (--out)" in done.error()
    )
    assert files_below(tmp_path) == ["rep/report.json"]


@pytest.mark.parametrize("study", ["closed-set", "similarity", "linkage", "open-set", "plan"])
def test_an_input_set_stays_as_it_is(intertwine, study_folders, files_below, study):
    """A report is not written into the set that it is about."""
    before = files_below(study_folders)
    done = intertwine(*lines(study_folders)[study], "--out", study_folders / "fit")
    assert "which is the input" in done.error()
    assert files_below(study_folders) == before
