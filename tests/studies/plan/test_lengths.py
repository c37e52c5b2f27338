import numpy as np
import pytest
from tests.studies.plan.plan_pairs_made import models, read_pairs, write_models

from intertwine.features.feature_set import FeatureSet
from intertwine.numerics.linalg import unit
from intertwine.studies.plan.forecast import surely_more
from intertwine.studies.plan.options import PlanOptions
from intertwine.studies.plan.study import plan

N = 200


def stretched(n, *, seed):
    """Return both models' vectors, the old ones of lengths that vary and mean nothing."""
    a, b, _ = models(n, seed=seed, d_old=32, d_new=24, noise=0.1)
    lengths = np.exp(1.0 * np.random.default_rng([seed, 7]).standard_normal(n))
    return unit(a) * lengths[:, None], unit(b)


@pytest.fixture(scope="module")
def found(tmp_path_factory, write_folder):
    """Return the plan of such pairs."""
    a, b = stretched(N, seed=1)
    folder = write_folder(tmp_path_factory.mktemp("plan") / "pairs", {"old": a, "new": b})
    return plan(FeatureSet.open(folder), "old", "new")


def recall(native, scores):
    """Return the recall of ten nearest, counted plainly."""
    for each in (native, scores):
        np.fill_diagonal(each, -np.inf)
    return np.mean(
        [
            len(set(np.argsort(-x)[:10]) & set(np.argsort(-y)[:10])) / 10
            for x, y in zip(native, scores, strict=True)
        ]
    )


def test_lengths_that_mean_nothing_are_taken_off(found):
    """The saved map scales what it maps, the forecast holds for fresh items, and a note says so."""
    fitted = found.maps["convert"]
    assert fitted.unit_source
    assert any("scaled to length 1 first find more" in note for note in found.facts["notes"])
    row = next(row for row in found.tables["pairs"] if row["option"] == "convert")
    fresh = [stretched(N, seed=50 + k) for k in range(4)]
    reached = np.mean([recall(b @ b.T, b @ unit(fitted.apply(a)).T) for a, b in fresh])
    assert row["ci_low"] - 0.01 <= reached <= row["ci_high"] + 0.01


def test_a_bridge_back_to_such_vectors_is_fitted_on_directions(found):
    """Queries of length 1 need no scaling: the bridge is affine, and its forecast holds too."""
    fitted = found.maps["bridge"]
    assert not fitted.unit_source
    row = next(row for row in found.tables["pairs"] if row["option"] == "bridge")
    fresh = [stretched(N, seed=50 + k) for k in range(4)]
    reached = np.mean([recall(b @ b.T, unit(fitted.apply(b)) @ unit(a).T) for a, b in fresh])
    assert row["ci_low"] - 0.01 <= reached <= row["ci_high"] + 0.01


@pytest.mark.slow
def test_vectors_whose_lengths_say_something_stay_as_they_are(tmp_path, write_folder):
    """Where scaling finds not surely more, and where lengths hardly differ, nothing is scaled."""
    folder = write_models(tmp_path / "pairs", write_folder, N)
    result = plan(FeatureSet.open(folder), "old", "new")
    assert not any(fitted.unit_source for fitted in result.maps.values())
    a, b, _ = models(N)
    same = read_pairs(write_folder(tmp_path / "unit", {"old": 3 * unit(a), "new": unit(b)}))
    assert same.directions is None


@pytest.mark.slow
def test_inner_products_keep_lengths(tmp_path, write_folder):
    """By inner product or distance a length is compared, and is not taken off."""
    a, b = stretched(100, seed=1)
    folder = write_folder(tmp_path / "pairs", {"old": a, "new": b})
    result = plan(FeatureSet.open(folder), "old", "new", options=PlanOptions(metric="ip"))
    assert not any(fitted.unit_source for fitted in result.maps.values())


def test_more_must_be_sure():
    """A gain within its error, or under a point, changes nothing."""
    rng = np.random.default_rng(0)
    one = rng.random((2, 400))
    assert surely_more(one, one + 0.005) is None
    assert surely_more(one, rng.random((2, 400)) + 0.01) is None
    best = one.mean(axis=1).max()
    assert surely_more(one, one + 0.1) == pytest.approx((best, best + 0.1))
