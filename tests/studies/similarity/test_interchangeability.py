import itertools
import json

import numpy as np
import pytest
from scipy.stats import spearmanr
from tests.studies.similarity.similarity_cases import estimates_of

from intertwine.errors import FileFormatError, InputError
from intertwine.metrics import rank_correlation
from intertwine.similarity.measures import MEASURES
from intertwine.studies.similarity.interchangeability import correlations, read_swaps

RNG = np.random.default_rng(0)
NAMES = list("abcde")
PAIRS = list(itertools.permutations(NAMES, 2))


def swap(source, target, change, **more):
    """Return a row of a closed-set report."""
    return {"source": source, "target": target, "accuracy": 0.5, "percent_change": change, **more}


def report(**changes):
    """Return the parts of a closed-set report that matter."""
    rows = [swap(a, b, -3.0, r2=0.9) for a in "abc" for b in "abc"]
    return {"study": "closed-set", "controls": ["c"], "pairs": rows, **changes}


# -- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["folder", "file"])
def test_swaps_are_the_pairs_off_the_diagonal(tmp_path, where):
    """A report's folder or its report.json gives every pair of two spaces, controls marked."""
    (tmp_path / "report.json").write_text(json.dumps(report()))
    rows = read_swaps(tmp_path if where == "folder" else tmp_path / "report.json")
    assert [(row["source"], row["target"]) for row in rows] == list(
        itertools.permutations("abc", 2)
    )
    assert set(rows[0]) == {"source", "target", "accuracy", "percent_change", "control"}
    assert [row["control"] for row in rows] == [
        "c" in (row["source"], row["target"]) for row in rows
    ]


@pytest.mark.parametrize("where", ["nothing", "empty"])
def test_no_report_is_refused(tmp_path, where):
    """A path with nothing there, and a folder without report.json, are no report."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=f"{where}: no report.json there, expected a closed-set"):
        read_swaps(tmp_path / where)


def test_a_report_of_another_study_is_refused(tmp_path):
    """A report of another study is named as what it is."""
    (tmp_path / "report.json").write_text(json.dumps(report(study="similarity")))
    with pytest.raises(InputError, match="a report of the study similarity, expected closed-set"):
        read_swaps(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "not a report that intertwine wrote"),
        ("3", "not a report that intertwine wrote"),
        ('{"pairs": []}', "not a report that intertwine wrote"),
        ('{"study": "closed-set"}', "holds no 'pairs'"),
        (
            '{"study": "closed-set", "pairs": [{"source": "a", "target": "b"}]}',
            r"holds no 'accuracy' in pairs\[0\]",
        ),
        ('{"study": "closed-set", "pairs": [3]}', r"pairs\[0\] is 3, expected an object"),
        ('{"study": "closed-set", "pairs": 3}', "pairs is 3, expected a list"),
        ('{"study": "closed-set", "pairs": [], "controls": 3}', "controls is 3, expected a list"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, text, message):
    """JSON that is cut, or that lacks what a report holds, is a format error that names the file."""
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_swaps(tmp_path)
    assert "report.json" in str(caught.value)


# -- correlating ------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    """Draw fewer networks; what the draws are for is tested beside them."""
    monkeypatch.setattr(rank_correlation, "BOOTSTRAP_DRAWS", 60)


def made(noise=0.0):
    """Return estimates of every measure and swaps whose change follows their likeness."""
    likeness = {pair: float(RNG.uniform()) for pair in PAIRS}
    scores = {
        pair: {
            name: value if measure.larger_is_more_similar else 1 - value
            for name, measure in MEASURES.items()
        }
        for pair, value in likeness.items()
    }
    swaps = [swap(*pair, 10 * value + noise * RNG.normal()) for pair, value in likeness.items()]
    return estimates_of(scores), swaps


@pytest.mark.slow
def test_a_measure_that_predicts_swaps_correlates_fully_whichever_way_it_points():
    """Where change follows likeness ρ is 1 for every measure, the Procrustes angle included."""
    rows = correlations(NAMES, *made())
    assert [row["measure"] for row in rows] == list(MEASURES)
    for row in rows:
        assert row["spearman"] == pytest.approx(1)
        assert row["n_pairs"] == len(PAIRS)
        assert row["n_networks"] == 5
        assert row["p_value"] == pytest.approx(1 / 120)
        assert row["reason"] is None


@pytest.mark.slow
def test_the_correlation_is_that_of_scipy():
    """ρ over ordered pairs is SciPy's, within an interval that is not empty."""
    estimates, swaps = made(noise=4.0)
    expected = spearmanr(
        [estimates[row["source"], row["target"]]["cka"].score for row in swaps],
        [row["percent_change"] for row in swaps],
    ).statistic
    row = correlations(NAMES, estimates, swaps)[0]
    assert row["spearman"] == pytest.approx(expected, abs=1e-12)
    assert -1 <= row["ci_low"] < expected < row["ci_high"] <= 1


@pytest.mark.slow
def test_controls_and_spaces_of_one_side_only_are_left_out():
    """Pairs with a space not named, and swaps of spaces that were not measured, do not count."""
    estimates, swaps = made()
    swaps.append(swap("a", "stranger", 1e6))
    row = correlations(["a", "b", "c", "d", "absent"], estimates, swaps)[0]
    assert row["n_networks"] == 4
    assert row["n_pairs"] == 12


@pytest.mark.slow
def test_undefined_numbers_are_left_out():
    """Pairs without a score or without a percent change do not count, and none makes a NaN."""
    estimates, swaps = made()
    swaps[0]["percent_change"] = None
    missing = estimates_of({PAIRS[1]: dict.fromkeys(MEASURES)})
    rows = correlations(NAMES, {**estimates, **missing}, swaps)
    assert {row["n_pairs"] for row in rows} == {len(PAIRS) - 2}
    json.dumps(rows, allow_nan=False)


def test_what_cannot_be_correlated_says_why():
    """Three networks, or no measured number, give no ρ but a reason."""
    estimates, swaps = made()
    few = correlations(["a", "b", "c"], estimates, swaps)
    none = correlations(NAMES, estimates_of({pair: {} for pair in PAIRS}), swaps)
    for row in (*few, *none):
        assert row["spearman"] is row["ci_low"] is row["p_value"] is None
        assert "fewer than 4 networks" in row["reason"]
