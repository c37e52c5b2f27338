from math import pi

import numpy as np
import pytest
from tests.helpers import CASES, covering, make, moments_of

from intertwine.moments.moments import Moments
from intertwine.similarity import rotation_null
from intertwine.similarity.canonical import cca_mean, pwcca, svcca
from intertwine.similarity.cka import linear_cka
from intertwine.similarity.measures import MEASURES
from intertwine.similarity.moment_measures import BACK, NAMES, SpectraOf, pair_nulls, pair_scores
from intertwine.similarity.shape import angular_distance

PRECISIONS = ["float64", "float32"]


def degenerate(case: str):
    """Return a source and a target of which little can be said."""
    rng = np.random.default_rng(0)
    a, b = make("tall")
    kinds = {
        "one row": (a[:1], b[:1]),
        "three rows": (a[:3], b[:3]),
        "four rows": (a[:4], b[:4]),
        "constant space": (np.full_like(a, 0.1), b),
        "constant target": (a, np.zeros_like(b)),
        "both constant": (np.full_like(a, 1e6), np.zeros_like(b)),
        "duplicated rows": (np.repeat(a[:2], 50, axis=0), np.repeat(b[:2], 50, axis=0)),
        "one row apart": (np.eye(30)[:, :1] + 5, b[:30]),
        "equal distances": (np.eye(20), rng.permutation(np.eye(20))),
        "tiny": (1e-140 * a, b),
        "huge": (1e70 * a, b),
        "both rank one": (np.outer(a[:, 0], [1, 2, 3.0]), np.outer(b[:, 0], [1, -1.0])),
        "itself": (a, a.copy()),
        "nearly itself": (a, a + 1e-9 * rng.standard_normal(a.shape)),
    }
    return kinds[case] if case in kinds else make(case)


DEGENERATE = (
    *CASES,
    *("one row", "three rows", "four rows", "constant space", "constant target", "both constant"),
    *("duplicated rows", "one row apart", "equal distances", "tiny", "huge", "both rank one"),
    *("itself", "nearly itself"),
)


def scores_of(a, b, *, precision: str = "float64", **options):
    """Return the scores of the spaces of some rows."""
    moments = moments_of(a, b, precision=precision)
    return pair_scores(moments, "a", "b", SpectraOf.of(moments, "ab", **options))


def assert_in_range(name: str, value: float, slack: float = 1e-12) -> None:
    """Check that a number is one, and in the stated range but for rounding."""
    measure = MEASURES["pwcca" if name == BACK else name]
    assert np.isfinite(value), name
    assert value == pytest.approx(measure.clip(value), abs=slack), name


@pytest.mark.parametrize(
    ("case", "precision", "alpha", "quick"),
    covering(DEGENERATE, PRECISIONS, [0.0, 1.0], [False, True]),
)
def test_every_measure_is_in_its_range_or_has_a_reason(case, precision, alpha, quick, monkeypatch):
    """Whatever the rows, each measure is a number in its range or a reason, never both or NaN."""
    monkeypatch.setattr(rotation_null, "MAX_DRAWS", 20)
    a, b = degenerate(case)
    if case in {"huge", "tiny"} and precision == "float32":
        a = a / np.abs(a).max()
    moments = moments_of(a, b, precision=precision)
    known = SpectraOf.of(moments, "ab", alpha=alpha)
    found = pair_scores(moments, "a", "b", known, quick=quick)
    assert set(found.scores) | set(found.reasons) == set(NAMES)
    assert not set(found.scores) & set(found.reasons)
    assert all(found.reasons.values())
    for name, value in found.scores.items():
        # Of float32 products S_AB is not quite that of S_AA and S_BB.
        assert_in_range(name, value, 1e-12 if precision == "float64" else 1e-5)
    assert (found.rho is None) == ("cca_mean" in found.reasons)
    if set(known.spectra) != {"a", "b"}:
        assert {"cca_mean", "svcca", "pwcca", BACK, "procrustes", "cka"} <= set(found.reasons)
        return
    nulls = pair_nulls(moments, "a", "b", known)
    assert set(NAMES) - {"cka", "cka_debiased"} <= set(nulls) <= set(NAMES)
    assert set(found.scores) <= set(nulls)
    for name, null in nulls.items():
        assert_in_range(name, null.mean, 1e-7)
        assert np.isfinite(null.sd)
        assert null.sd >= 0


def test_reasons_say_what_is_missing():
    """Too few rows and a constant space are named, measure by measure."""
    a, b = make("tall")
    few = scores_of(a[:3], b[:3])
    assert few.reasons == {"cka_debiased": "got n = 3 rows, expected at least 4 for CKA"}
    constant = scores_of(np.ones_like(a), b)
    assert constant.scores == {}
    assert constant.rho is None
    assert constant.reasons["cka"] == "a does not vary enough over 200 rows to have a CKA"
    for name in ("cca_mean", "svcca", "pwcca", BACK, "procrustes"):
        assert constant.reasons[name] == "a does not vary over 200 rows"


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_each_measure_alone(case):
    """Measured together or one by one, the numbers are the same."""
    moments = moments_of(*make(case))
    known = SpectraOf.of(moments, "ab", variance=0.8)
    scores = pair_scores(moments, "a", "b", known).scores
    assert scores["cka"] == linear_cka(moments, "a", "b")
    if moments.n >= 4:
        assert scores["cka_debiased"] == linear_cka(moments, "a", "b", debiased=True)
    assert scores["cca_mean"] == cca_mean(moments, "a", "b")
    assert scores["svcca"] == svcca(moments, "a", "b", variance=0.8)
    assert scores["pwcca"] == pwcca(moments, "a", "b")
    assert scores[BACK] == pytest.approx(pwcca(moments, "b", "a"), abs=1e-10)
    assert scores["procrustes"] == angular_distance(moments, "a", "b")
    regularised = pair_scores(moments, "a", "b", SpectraOf.of(moments, "ab", alpha=3.0)).scores
    assert regularised["cca_mean"] == cca_mean(moments, "a", "b", alpha=3.0)
    assert regularised["pwcca"] == pwcca(moments, "a", "b", alpha=3.0)


@pytest.mark.parametrize("chunk", [1, 7, 64, 200])
def test_scores_do_not_depend_on_chunks(chunk):
    """The same rows in other chunks give the very same scores."""
    a, b = make("tall")
    whole, parts = moments_of(a, b), Moments({"a": 12, "b": 7}, precision="float64")
    for i in range(0, 200, chunk):
        parts.update({"a": a[i : i + chunk], "b": b[i : i + chunk]})
    expected, got = (
        pair_scores(moments, "a", "b", SpectraOf.of(moments, "ab")) for moments in (whole, parts)
    )
    assert got.scores == expected.scores


def test_merged_and_subtracted_moments_have_the_same_scores():
    """Parts with origins of their own, added and left out again, give the scores of their rows."""
    a, b = make("tall")
    parts = [moments_of(a[i : i + 40], b[i : i + 40]) for i in range(0, 200, 40)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    rest = total - parts[4]
    for moments, rows in ((total, slice(200)), (rest, slice(160))):
        got = pair_scores(moments, "a", "b", SpectraOf.of(moments, "ab"))
        assert got.scores == pytest.approx(scores_of(a[rows], b[rows]).scores, abs=1e-10)


def test_float32_products_change_little():
    """Scores from float32 products are within 2e-4 of the exact ones."""
    for case in ("tall", "to more", "duplicated", "constant"):
        exact, rough = (scores_of(*make(case), precision=each).scores for each in PRECISIONS)
        assert rough == pytest.approx(exact, abs=2e-4)


def test_known_answers():
    """A rotated, scaled, moved copy has the best score of every measure, an affine one of CCA."""
    a, _ = make("tall")
    rng = np.random.default_rng(0)
    turn, mix = np.linalg.qr(rng.standard_normal((12, 12)))[0], rng.standard_normal((12, 12))
    for other in (a.copy(), 3 * a @ turn - 7):
        for name, score in scores_of(a, other).scores.items():
            best = MEASURES["pwcca" if name == BACK else name].best
            assert score == pytest.approx(best, abs=1e-7), name
    mixed = scores_of(a, a @ mix + 5).scores
    for name in ("cca_mean", "pwcca", BACK):
        assert mixed[name] == pytest.approx(1, abs=1e-9)
    assert mixed["cka"] < 0.999
    assert mixed["procrustes"] > 0.01


def test_a_space_with_itself_has_the_extreme_value():
    """Both names may be one space, and each measure then has its best value."""
    moments = moments_of(*make("tall"))
    known = SpectraOf.of(moments, "ab")
    for name, score in pair_scores(moments, "a", "a", known).scores.items():
        best = MEASURES["pwcca" if name == BACK else name].best
        assert score == pytest.approx(best, abs=1e-12), name


@pytest.mark.parametrize("n", [32, 256])
def test_unrelated_spaces_score_their_null(n):
    """Random features have every measure within 4.5 sd of its null, debiased CKA near 0."""
    rng = np.random.default_rng(n)
    moments = moments_of(rng.standard_normal((n, 24)), rng.standard_normal((n, 48)))
    known = SpectraOf.of(moments, "ab")
    scores = pair_scores(moments, "a", "b", known).scores
    for name, null in pair_nulls(moments, "a", "b", known).items():
        assert abs(scores[name] - null.mean) <= 4.5 * null.sd + 1e-7, name
    assert abs(scores["cka_debiased"]) < 6 / n
    assert scores["procrustes"] < pi / 2


def test_symmetry_is_as_stated():
    """What is called symmetric is the same both ways; the others swap with the pair, and differ."""
    a, b = make("tall")
    forth, back = scores_of(a, b).scores, scores_of(b, a).scores
    for name in NAMES:
        if name == BACK:
            continue
        if MEASURES[name].symmetric:
            assert forth[name] == pytest.approx(back[name], abs=1e-12), name
        else:
            assert abs(forth[name] - back[name]) > 1e-3
    assert forth[BACK] == pytest.approx(back["pwcca"], abs=1e-12)
    assert back[BACK] == pytest.approx(forth["pwcca"], abs=1e-12)


def test_spectra_of_several_spaces():
    """Spaces that vary are factored once, with the components SVCCA keeps or those prescribed."""
    a, b = make("tall")
    moments = Moments({"a": 12, "b": 7, "still": 2}, precision="float64")
    moments.update({"a": a, "b": b, "still": np.ones((200, 2))})
    known = SpectraOf.of(moments, ["a", "b", "still"], alpha=2.0, variance=0.9)
    assert list(known.spectra) == ["a", "b"]
    assert known.alpha == 2
    assert known.kept == {name: known.spectra[name].components(0.9) for name in "ab"}
    fixed = SpectraOf.of(moments, ["a", "b"], variance=0.9, kept={"a": 99})
    assert fixed.kept == {"a": 12, "b": known.kept["b"]}
    assert SpectraOf.of(moments, ["a"], kept={"a": 2, "b": 1}).kept == {"a": 2}
