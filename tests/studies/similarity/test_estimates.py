import numpy as np
import pytest
from scipy.stats import t
from tests.studies.similarity.similarity_cases import groups_of, moments_of_rows, rows_of_groups

from intertwine.estimators.gcv import SHARES
from intertwine.similarity.canonical import CanonicalPair, cca_mean, pwcca, svcca
from intertwine.similarity.cka import linear_cka
from intertwine.similarity.measures import MEASURES, MOMENT_MEASURES
from intertwine.similarity.moment_measures import BACK, SpectraOf, pair_nulls
from intertwine.similarity.shape import angular_distance
from intertwine.storage.shelf import Checkpoints, run_key
from intertwine.studies.similarity import estimates as study
from intertwine.studies.similarity.estimates import (
    FEW_GROUPS,
    GAPS,
    NO_GROUPS,
    CcaOptions,
    estimate,
    moment_estimates,
)

RNG = np.random.default_rng(0)
DIMS = {"a": 7, "b": 5, "c": 12}
CCA = CcaOptions(alpha=0.3, variance=0.9)
DIRECT = {
    "cka": linear_cka,
    "cka_debiased": lambda m, a, b: linear_cka(m, a, b, debiased=True),
    "cca_mean": lambda m, a, b: cca_mean(m, a, b, alpha=CCA.alpha),
    "pwcca": lambda m, a, b: pwcca(m, a, b, alpha=CCA.alpha),
    "procrustes": angular_distance,
}


def features_of(n, dims=DIMS, noise=0.5):
    """Return spaces of one cause, with spectra that fall."""
    rng = np.random.default_rng(n)
    cause = rng.standard_normal((n, 4))
    return {
        name: (np.tanh(cause @ rng.standard_normal((4, d))) + noise * rng.standard_normal((n, d)))
        * np.linspace(2, 0.4, d)
        for name, d in dims.items()
    }


def estimates_of(features, n_groups=20, options=CCA, **more):
    """Return the estimates of features in groups."""
    groups = groups_of(features, n_groups)
    return moment_estimates(groups, options=options, progress=lambda *_: None, **more)


# Groups of 15 rows each, and of 2 and 3 rows.
@pytest.fixture(scope="module", params=[300, 47], ids=["equal-groups", "unequal-groups"])
def case(request):
    """Return features, and the estimates of their pairs."""
    features = features_of(request.param)
    return features, estimates_of(features)


def test_scores_are_those_of_the_measures_called_directly(case):
    """Each score over all rows is what its function in `intertwine.similarity` gives."""
    features, found = case
    whole = moments_of_rows(features)
    assert set(found.estimates) == {(a, b) for a in DIMS for b in DIMS if a != b}
    direct = {**DIRECT, "svcca": lambda m, a, b: svcca(m, a, b, variance=CCA.variance)}
    for (a, b), each in found.estimates.items():
        assert tuple(each) == MOMENT_MEASURES
        for name, score in direct.items():
            assert each[name].score == pytest.approx(score(whole, a, b), rel=1e-10), (a, b, name)
            assert each[name].best == MEASURES[name].best


def test_symmetric_measures_are_the_same_both_ways(case):
    """A measure that says it is symmetric has one estimate a pair; PWCCA and R² have two."""
    _, found = case
    for (a, b), each in found.estimates.items():
        for name, value in each.items():
            assert (value == found.estimates[b, a][name]) == MEASURES[name].symmetric


def jackknife_interval(score, without, sizes, null):
    """Return score ± t · error by the sums of Busing, Meijer & van der Leeden (1999), one by one."""
    n, g = sum(sizes), len(sizes)
    centre = g * score - sum((1 - m / n) * each for m, each in zip(sizes, without, strict=True))
    variance = 0.0
    for m, each in zip(sizes, without, strict=True):
        h = n / m
        variance += (h * score - (h - 1) * each - centre) ** 2 / (h - 1) / g
    half = t.ppf(0.975, g - 1) * max(np.sqrt(variance), null.sd)
    return score - half, score + half


@pytest.mark.slow
def test_intervals_are_those_of_features_without_each_group(case):
    """The ends are the jackknife's, its scores from moments of all other rows made afresh."""
    features, found = case
    n = len(features["a"])
    groups = rows_of_groups(n)
    rests = [moments_of_rows(features, np.setdiff1d(np.arange(n), rows)) for rows in groups]
    whole = moments_of_rows(features)
    known = SpectraOf.of(whole, DIMS, alpha=CCA.alpha, variance=CCA.variance)
    # Components that SVCCA keeps are counted on all rows.
    kept = {name: known.spectra[name].components(CCA.variance) for name in DIMS}
    direct = {
        **DIRECT,
        "svcca": lambda m, a, b: CanonicalPair.of(m, a, b).svcca(kept[a], kept[b]),
    }
    widened = 0
    for (a, b), each in found.estimates.items():
        nulls = pair_nulls(whole, *sorted((a, b)), known)
        for name, score in direct.items():
            null = nulls[BACK if name == "pwcca" and a > b else name]
            assert each[name].null == pytest.approx(null.mean, rel=1e-12)
            without = [score(rest, a, b) for rest in rests]
            sizes = [len(rows) for rows in groups]
            ends = jackknife_interval(each[name].score, without, sizes, null)
            clipped = [MEASURES[name].clip(end) for end in ends]
            np.testing.assert_allclose([each[name].low, each[name].high], clipped, atol=1e-7)
            unwidened = jackknife_interval(each[name].score, without, sizes, null.__class__(0, 0))
            widened += ends[0] < unwidened[0]
    # Some intervals come from the groups and some from the null's own spread.
    assert 0 < widened < 6 * len(direct)


def gcv_ridge(x, y):
    """Return λ of the grid that minimises n RSS / (n − df)², by fitting every one of them."""
    from sklearn.linear_model import Ridge

    centred = x - x.mean(axis=0)
    scores = []
    alphas = SHARES * (centred**2).sum() / np.linalg.matrix_rank(centred)
    for alpha in alphas:
        fitted = Ridge(alpha=alpha, solver="cholesky").fit(x, y).predict(x)
        gram = centred.T @ centred
        df = 1 + np.trace(gram @ np.linalg.inv(gram + alpha * np.eye(len(gram))))
        scores.append(len(x) * ((y - fitted) ** 2).sum() / (len(x) - df) ** 2)
    return alphas[int(np.argmin(scores))]


@pytest.mark.slow
def test_r2_is_pooled_over_groups_that_maps_were_not_fitted_on(case):
    """R², its λ and its interval are those of an explicit loop of ridge fits over the groups."""
    from sklearn.linear_model import Ridge

    features, found = case
    n = len(features["a"])
    groups = rows_of_groups(n)
    for source, target in (("a", "b"), ("c", "a")):
        x, y = features[source], features[target]
        residuals, spreads, chosen = [], [], []
        for rows in groups:
            rest = np.setdiff1d(np.arange(n), rows)
            chosen.append(gcv_ridge(x[rest], y[rest]))
            predicted = Ridge(alpha=chosen[-1]).fit(x[rest], y[rest]).predict(x[rows])
            residuals.append(((y[rows] - predicted) ** 2).sum())
            spreads.append(((y[rest] - y[rest].mean(axis=0)) ** 2).sum())
        total = ((y - y.mean(axis=0)) ** 2).sum()
        each = found.estimates[source, target]["r2"]
        assert each.score == pytest.approx(1 - sum(residuals) / total, rel=1e-9)
        assert found.alphas[source, target] == pytest.approx(np.median(chosen))
        without = [
            1 - (sum(residuals) - mine) / spread
            for mine, spread in zip(residuals, spreads, strict=True)
        ]
        sizes = [len(rows) for rows in groups]
        null = type("Null", (), {"sd": 0.0})
        low, high = jackknife_interval(each.score, without, sizes, null)
        # Never narrower than the groups say; wider where the null's own spread is.
        assert each.low <= low + 1e-9
        assert each.high >= min(high, 1) - 1e-9


@pytest.mark.slow
def test_the_null_of_r2_is_the_mean_over_unrelated_targets():
    """Unrelated spaces score what the null says on average, and within their intervals mostly."""
    rng, found = np.random.default_rng(5), []
    for _ in range(3):
        dims = {f"space-{number}": 2 + 3 * number for number in range(6)}
        features = {name: rng.exponential(size=(60, d)) for name, d in dims.items()}
        found += [each["r2"] for each in estimates_of(features).estimates.values()]
    beyond = np.array([each.score - each.null for each in found])  # 90 ordered pairs
    assert abs(beyond.mean()) < 4 * beyond.std() / np.sqrt(len(beyond))
    assert np.mean([each.low <= each.null <= each.high for each in found]) > 0.9


@pytest.mark.slow
def test_without_groups_there_are_scores_and_no_intervals():
    """Moments of all rows give scores and nulls, no interval and no R², and say why."""
    features = features_of(80)
    groups = groups_of(features, 20)
    alone = type(groups)(groups.total)
    found = moment_estimates(alone, options=CCA, progress=lambda *_: None)
    grouped = moment_estimates(groups, options=CCA, progress=lambda *_: None)
    for pair, each in found.estimates.items():
        for name, value in each.items():
            assert value.low is value.high is None
            assert NO_GROUPS in value.reasons
            if name != "r2":
                assert value.score == grouped.estimates[pair][name].score
                assert value.null == grouped.estimates[pair][name].null
        assert each["r2"].score is None
    assert found.alphas == {}


@pytest.mark.slow
def test_fewer_than_five_groups_have_no_interval():
    """Four groups give scores, R² among them, and no interval."""
    found = estimates_of(features_of(80), n_groups=4)
    for each in found.estimates.values():
        for value in each.values():
            assert value.score is not None
            assert value.low is None
            assert FEW_GROUPS in value.reasons


@pytest.mark.slow
def test_a_score_that_a_group_is_needed_for_has_no_interval():
    """Where a space does not vary without one of the groups, the score stands without interval."""
    features = features_of(60)
    features["b"] = np.zeros((60, 1))
    features["b"][7] = 1.0
    found = estimates_of(features)
    for name in ("cca_mean", "procrustes"):
        value = found.estimates["a", "b"][name]
        assert value.score is not None
        assert value.low is None
        assert GAPS in value.reasons


@pytest.mark.slow
def test_a_space_that_does_not_vary_has_reasons_and_spares_the_others():
    """From and to a constant space only its R² as source is defined; other pairs are as without."""
    features = features_of(60)
    expected = estimates_of({name: features[name] for name in "ac"}).estimates["a", "c"]
    features["b"] = np.full((60, 3), 0.1)
    found = estimates_of(features)
    assert "b" not in found.known.spectra
    for pair in (("a", "b"), ("b", "a")):
        for name, value in found.estimates[pair].items():
            if (name, pair[0]) == ("r2", "b"):
                # The best map from it is the target's mean.
                assert value.low < value.null < value.high
                continue
            assert value.score is value.low is value.null is None
            assert value.reasons
    for name, value in found.estimates["a", "c"].items():
        assert value.score == pytest.approx(expected[name].score, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "score", "low", "high"), [("cka", 0.999, 0.9, 1.0), ("procrustes", 0.01, 0.0, 0.1)]
)
def test_intervals_are_cut_to_the_range(name, score, low, high):
    """An end beyond the measure's range is the end of the range."""
    without = np.linspace(score - 0.01, score + 0.01, 20)
    found = estimate(name, score, without.tolist(), np.full(20, 5.0), None)
    assert low < found.low + 1e-12
    assert found.high < high + 1e-12
    assert MEASURES[name].best in {found.low, found.high}


@pytest.mark.slow
def test_progress_is_told_by_groups():
    """Progress tells of all rows first, then of each group."""
    seen = []
    groups = groups_of(features_of(60))
    moment_estimates(groups, options=CCA, progress=lambda *facts: seen.append(facts))
    assert [fact[1:] for fact in seen if fact[0] == "without one row group"] == [
        (number, 20) for number in range(1, 21)
    ]
    assert seen[0] == ("similarity of all rows", 0, 2)


# -- what a killed study left -----------------------------------------------------------------


class Stop(BaseException):
    """What ends a study in a test, as Ctrl-C would."""


def stop_at(number):
    """Return a function that stops a study after some groups."""

    def say(what, done, total):
        del total
        if what == "without one row group" and done >= number:
            raise Stop

    return say


@pytest.fixture
def halfway(tmp_path):
    """Return features, and the checkpoints of an interrupted study that left seven of its groups."""
    features = features_of(60)
    saved = Checkpoints(tmp_path, run_key("key"), "without")
    with pytest.raises(Stop):
        moment_estimates(groups_of(features), options=CCA, progress=stop_at(7), saved=saved)
    assert len(list(tmp_path.iterdir())) == 7
    return features, saved


def count_groups(monkeypatch):
    """Return a list that grows with every group that is measured."""
    seen, original = [], study._folds
    monkeypatch.setattr(study, "_folds", lambda *args: seen.append(1) or original(*args))
    return seen


@pytest.mark.slow
def test_a_study_goes_on_where_it_stopped(halfway, monkeypatch):
    """Groups that were done are not measured again, and no number differs from a study at once."""
    features, saved = halfway
    seen = count_groups(monkeypatch)
    found = estimates_of(features, saved=saved)
    assert len(seen) == 13
    expected = estimates_of(features)
    assert found.estimates == expected.estimates
    assert found.alphas == expected.alphas


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "list"])
def test_a_damaged_group_is_measured_again(halfway, monkeypatch, damage):
    """A file that is cut, altered or of another form is not believed; the others are."""
    features, saved = halfway
    bad = sorted(saved.folder.iterdir())[3]
    whole = bad.read_text()
    changed = whole.replace('"cka": 0.', '"cka": 1.', 1)
    assert changed != whole
    bad.write_text({"cut": whole[:-9], "changed": changed, "empty": "", "list": "[1]"}[damage])
    seen = count_groups(monkeypatch)
    assert estimates_of(features, saved=saved).estimates == estimates_of(features).estimates
    assert len(seen) == 14 + 20
    assert bad.read_text() == whole


@pytest.mark.slow
def test_other_options_do_not_use_what_was_left(halfway, monkeypatch):
    """A study with another λ measures every group itself."""
    features, saved = halfway
    other = CcaOptions(alpha=2.0, variance=0.9)
    seen = count_groups(monkeypatch)
    found = estimates_of(features, options=other, saved=saved)
    assert len(seen) == 20
    assert found.estimates == estimates_of(features, options=other).estimates


@pytest.mark.slow
def test_a_lambda_at_an_edge_of_the_grid_is_said_of_its_pair():
    """Of noise that says nothing of its target GCV takes the largest λ, and only that is said."""
    rng = np.random.default_rng(0)
    features = {name: rng.standard_normal((300, 4)) for name in "ac"}
    features["b"] = features["a"] @ rng.standard_normal((4, 3)) + rng.standard_normal((300, 3))
    found = estimates_of(features)
    assert {("b", "c"), ("c", "b")} <= found.choices.keys()
    assert not {("a", "b"), ("b", "a")} & found.choices.keys()
    assert set(found.choices.values()) == {"GCV chose the upper edge of the grid"}


@pytest.mark.quick("1e-05")
@pytest.mark.parametrize("factor", [1e-30, 1e-5, 1e5])
def test_r2_does_not_depend_on_the_unit_of_the_source(factor):
    """A rotated copy in a tiny or huge unit is predicted as well as one in the same unit."""
    rng = np.random.default_rng(0)
    b = rng.standard_normal((300, 6))
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    found = estimates_of({"a": b @ turn * factor, "b": b})
    assert found.estimates["a", "b"]["r2"].score == pytest.approx(1, abs=1e-4)
    assert found.choices == {}
