import numpy as np
import pytest

from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.studies.closed_set.study import closed_set


@pytest.fixture
def made(tmp_path, networks):
    """Return a function that writes two sets, changes them, and returns the study's warnings."""
    networks({"a": 24, "b": 16, "c": 12}, n_classes=5).save(tmp_path / "fit", 300, 1, prefix="f")
    networks({"a": 24, "b": 16, "c": 12}, n_classes=5).save(tmp_path / "eval", 200, 2, prefix="e")

    def warnings(change=None, **options):
        if change is not None:
            change(tmp_path)
        sets = (FeatureSet.open(tmp_path / part) for part in ("fit", "eval"))
        found = closed_set(*sets, options=FitOptions(**options), curve_points=1).to_json()
        assert found["notes"][: len(found["warnings"])] == found["warnings"]
        return found["warnings"]

    return warnings


def shuffle(*files):
    """Return a change: the rows of some files stand in another order."""

    def change(folder):
        for file in files:
            rows = np.load(folder / file)
            np.save(folder / file, rows[np.random.default_rng(len(file)).permutation(len(rows))])

    return change


def roll(folder):
    """Shift the labels of the evaluation rows by one class."""
    file = folder / "eval" / "labels.npy"
    np.save(file, (np.load(file) + 1) % 5)


@pytest.mark.quick("options0")
@pytest.mark.parametrize("options", [{}, {"alpha": "gcv"}, {"method": "procrustes"}])
def test_nothing_is_wrong(made, options):
    """Networks that know their labels and each other raise no doubt."""
    assert made(**options) == []


@pytest.mark.slow
def test_labels_off_by_one(made):
    """Every network's accuracy is doubted, and the shift is named."""
    doubts = made(roll)
    assert [doubt.split()[3] for doubt in doubts] == ["a", "b", "c"]
    assert all("chance 20 %" in doubt for doubt in doubts)
    assert all("labels shifted by one class (each less 1) reach" in doubt for doubt in doubts)


@pytest.mark.quick("procrustes")
@pytest.mark.parametrize("method", ["ridge", "procrustes", "cca"])
def test_fit_rows_in_another_order(made, method):
    """Maps from and to a space whose fit rows are shuffled explain nothing, and that is asked about."""
    doubts = made(shuffle("fit/b.npy"), method=method)
    pairs = ["a → b", "b → a", "b → c", "c → b"]
    expected = [f"{p} explains nothing of the evaluation rows: are the rows of" for p in pairs]
    assert [doubt[: len(start)] for doubt, start in zip(doubts, expected, strict=True)] == expected


@pytest.mark.slow
def test_evaluation_rows_in_another_order(made):
    """A space whose evaluation rows are shuffled is at chance by itself and beside the others."""
    doubts = made(shuffle("eval/b.npy"))
    assert sum("explains nothing" in doubt for doubt in doubts) == 4
    assert "are the rows of b.npy in another order than labels?" in doubts[0]
