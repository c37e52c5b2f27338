import json
from dataclasses import fields

import numpy as np
import pytest
from tests.arrays.test_measures import X, Y

import intertwine
from intertwine.arrays import ArraySimilarity, Score
from intertwine.errors import InputError
from intertwine.similarity.measures import MEASURES

FEW = {"sample": 60, "neighbours": 5}


@pytest.fixture(scope="module")
def found() -> ArraySimilarity:
    """Return the similarity of two related arrays."""
    return intertwine.similarity(X, Y, names=("old", "new"), **FEW)


def test_it_is_the_study_of_two_spaces(found):
    """Scores, intervals, nulls, calibration and reasons are those of the study's rows."""
    features = intertwine.FeatureSet.from_arrays({"old": X, "new": Y})
    options = intertwine.SimilarityOptions(**FEW)
    rows = {
        (row["source"], row["target"]): row
        for row in intertwine.similarity(features, options=options).pairs
    }
    one_way = [name for name, measure in MEASURES.items() if not measure.symmetric]
    assert [each.measure for each in found].count("pwcca") == 2
    assert len(found) == len(MEASURES) + len(one_way)
    for each in found:
        row = rows[each.source, each.target]
        assert each == Score.of(row, each.measure)
        assert each.score == row[each.measure]
        assert each.interval == (row[f"{each.measure}_low"], row[f"{each.measure}_high"])
        assert each.null == row[f"{each.measure}_null"]
        assert each.calibrated == row[f"{each.measure}_calibrated"]
        assert each.reason == row["reasons"].get(each.measure)
        assert each.low <= each.score <= each.high


def test_it_is_indexed_by_measure(found):
    """A key leads to the score from the first array to the second; others are named."""
    assert found["pwcca"].source == "old"
    assert found["cka"].title == "Linear CKA"
    with pytest.raises(InputError, match="got measure 'rv', expected one of cka, cka_debiased, "):
        found["rv"]
    with pytest.raises(AttributeError):
        found["cka"].score = 1  # type: ignore[misc]


def test_its_repr_is_a_small_table(found):
    """A line a score with its interval, unrelated spaces' score and calibration; no dictionaries."""
    lines = repr(found).splitlines()
    assert lines[0] == "similarity of old (9) and new (6) over 120 rows"
    assert lines[1].split("  ")[-1].strip() == "calibrated"
    assert len(lines) == 2 + len(found)
    cka = found["cka"]
    expected = [
        f"{value:.3f}" for value in (cka.score, cka.low, cka.high, cka.null, cka.calibrated)
    ]
    assert lines[2].replace("to", "").split() == ["Linear", "CKA", *expected]
    assert "PWCCA, old → new" in lines[6]
    assert "{" not in repr(found)


def test_a_notebook_shows_the_same_table(found):
    """The HTML is one scoped table without scripts or style sheets, and nothing from elsewhere."""
    html = found._repr_html_()
    assert html.count("<tr>") == 1 + len(found)
    for unwanted in ("<script", "<style", "http"):
        assert unwanted not in html
    assert "PWCCA, old → new" in html


def test_its_json_is_json(found):
    """The JSON holds every score, the sizes and the notes, and nothing but JSON."""
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert value["n"] == 120
    assert value["dimensions"] == {"old": 9, "new": 6}
    assert value["scores"][0]["score"] == found["cka"].score
    assert value["warnings"] == []


def test_its_frame_has_a_row_a_score(found):
    """The data frame has a row a score, its numbers and why one is undefined."""
    frame = found.to_frame(library="pandas")
    assert list(frame.columns[:7]) == [
        "measure", "title", "source", "target", "score", "low", "high",
    ]  # fmt: skip
    assert set(frame.columns) == {each.name for each in fields(Score)}
    assert frame["score"].tolist() == [each.score for each in found]
    assert frame.set_index("measure").loc["cka", "null"] == found["cka"].null


@pytest.mark.slow
def test_its_report_is_that_of_the_study(found, tmp_path):
    """`save` writes the similarity study's report of the two arrays."""
    page = found.save(tmp_path / "report")
    assert page.read_text(encoding="utf-8").count("old")
    written = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert written["pairs"] == json.loads(json.dumps(found.study.pairs))


def test_its_figure_has_a_dot_a_calibrated_score(found):
    """The figure shows each score that is calibrated."""
    axes = found.plot().axes[0]
    titles = [label.get_text() for label in axes.get_yticklabels()]
    assert len(titles) == sum(each.calibrated is not None for each in found)
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert dots[0].get_xdata()[0] == found["cka"].calibrated


@pytest.mark.slow
def test_what_is_undefined_has_a_reason():
    """Few rows leave numbers undefined: the score is None, and the table says why."""
    few = intertwine.similarity(X[:12], Y[:12], sample=0)
    pwcca = few["pwcca"]
    assert pwcca.score is None
    assert pwcca.reason in repr(few)
    assert "–" in repr(few)


@pytest.mark.slow
def test_rows_in_another_order_are_doubted():
    """Unrelated arrays warn, and the doubt comes first wherever the result is shown."""
    with pytest.warns(UserWarning, match="^x and y are no more alike than shuffled rows: are the"):
        found = intertwine.similarity(X, np.random.default_rng(5).permutation(Y), sample=0)
    assert repr(found).startswith("warning: x and y are no more alike")
    assert ".npy" not in repr(found)
    assert "no more alike" in found._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X, Y), {"names": ("a", "a")}, "names: expected two different names"),
        ((X, Y), {"names": "ab"}, "names: expected two different names"),
        ((X, Y), {"variance": 2}, "got variance 2, expected a share"),
        ((X, Y[:5]), {}, "rows differ: x has 120 rows, y has 5 rows"),
        ((intertwine.FeatureSet.from_arrays({"a": X, "b": Y}), Y), {}, "expected the set alone"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, options, message):
    """Names, options and arrays that do not fit are refused."""
    with pytest.raises(InputError, match=message):
        intertwine.similarity(*arguments, **options)
