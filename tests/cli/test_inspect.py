import json

import numpy as np
import pytest


def test_says_what_a_feature_set_holds(intertwine, study_folders):
    """Rows, labels and each space's dimension, type and classes are printed."""
    done = intertwine("inspect", study_folders / "fit")
    assert done.code == 0
    lines = done.out.splitlines()
    assert "kind: feature set" in lines
    assert "rows: 120" in lines
    assert "    dim: 12" in lines
    assert "    dtype: float32" in lines
    assert lines.count("    classes: 10") == 3


@pytest.mark.slow
def test_long_lists_are_counted(intertwine, study_folders, tmp_path):
    """A list too long for a terminal is given as its length; --json has all of it."""
    fit = ["fit", study_folders / "fit", "--out", tmp_path, "--method", "cca"]
    assert intertwine(*fit).code == 0
    report = ["closed-set", "--fit", study_folders / "fit", "--eval", study_folders / "eval"]
    assert intertwine(*report, "--out", tmp_path / "report").code == 0
    assert "pairs: 9 entries" in intertwine("inspect", tmp_path / "report").out
    assert len(intertwine("inspect", tmp_path / "report", "--json").json()["pairs"]) == 9
    assert "correlations" in intertwine("inspect", tmp_path / "a--b.safetensors", "--json").out


@pytest.mark.parametrize("name", ["fit", "fit/a.npy", "fit/a.head.safetensors", "fit/labels.npy"])
def test_json_is_one_object(intertwine, study_folders, name):
    """With --json the facts are one object on standard output."""
    assert "kind" in intertwine("inspect", study_folders / name, "--json").json()


def test_what_is_not_ours_is_one_line(intertwine, tmp_path):
    """Nothing, and a file of others, are refused in one line."""
    assert "nothing there" in intertwine("inspect", tmp_path / "absent").error()
    (tmp_path / "text.txt").write_text("hello")
    assert (
        "not a file that intertwine wrote" in intertwine("inspect", tmp_path / "text.txt").error()
    )
    np.save(tmp_path / "flat.npy", np.ones(3))
    assert "expected (n, d)" in intertwine("inspect", tmp_path / "flat.npy").error()


def test_words_and_columns(intertwine, study_folders, tmp_path, monkeypatch):
    """Lists, shapes, truth and nothing are printed as words, rows as columns that fit, never as Python."""
    fit = ["fit", study_folders / "fit", "--out", tmp_path, "--source", "a", "--target", "b"]
    assert intertwine(*fit).code == 0
    moments = ["moments", study_folders / "fit", "--out", tmp_path / "m.safetensors"]
    assert intertwine(*moments).code == 0
    monkeypatch.setenv("COLUMNS", "60")
    of_map = intertwine("inspect", tmp_path / "a--b.safetensors").out
    assert "  weight: " in of_map
    assert " × 12" in of_map
    lines = intertwine("inspect", tmp_path / "m.safetensors").out.splitlines()
    at = lines.index("spaces:")
    assert lines[at + 1].split()[:2] == ["name", "dim"]
    assert lines[at + 2].split()[:2] == ["a", "12"]
    row = {
        "source": "a",
        "target": "b",
        "ok": True,
        "none": None,
        "names": ["x", "y"],
        "wide": "w" * 60,
    }
    report = {"study": "closed-set", "alpha": [1.0, 2.0], "pairs": [row, row]}
    (tmp_path / "report.json").write_text(json.dumps(report))
    lines = intertwine("inspect", tmp_path / "report.json").out.splitlines()
    at = lines.index("pairs:")
    assert "alpha: 1.0, 2.0" in lines
    assert lines[at + 1 : at + 3] == [
        "  source  target  ok   none  names",
        "  a       b       yes  none  x, y",
    ]
    assert lines[at + 4] == "  and 1 column more, which --json shows"
    for command in (
        tmp_path / "m.safetensors",
        study_folders / "fit",
        tmp_path / "a--b.safetensors",
    ):
        assert not set("[]{}'") & set(intertwine("inspect", command).out)
