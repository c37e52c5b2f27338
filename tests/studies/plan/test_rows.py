import numpy as np
import pytest

from intertwine.numerics.linalg import unit
from intertwine.studies.plan import rows as tables
from intertwine.studies.plan.domain import least_known
from intertwine.studies.plan.measure import Measure

N, K = 160, 10
ITEMS = np.random.default_rng(0).standard_normal((N, 8))


def table(noise, seed=1):
    """Return the cosines of queries with items that have so much noise, none with itself."""
    items = ITEMS + noise * np.random.default_rng(seed).standard_normal(ITEMS.shape)
    scores = (unit(ITEMS) @ unit(items).T).astype(np.float32)
    np.fill_diagonal(scores, -np.inf)
    return scores


NATIVE, CONVERTED = table(0.0), table(0.6)
MEASURE = Measure(NATIVE)


def test_reranking_counts_the_true_ten_among_the_first():
    """At each depth the share is that of a plain loop, and at the first it is the recall."""
    rows = tables.rerank_rows(MEASURE, [(1.0, CONVERTED)])
    assert [row["depth"] for row in rows] == [10, 20, 50, 100]
    for row in rows:
        found = [
            len(set(np.argsort(-native)[:K]) & set(np.argsort(-scores)[: row["depth"]])) / K
            for native, scores in zip(NATIVE, CONVERTED, strict=True)
        ]
        assert row["recall_at_10"] == pytest.approx(np.mean(found))
        assert row["ci_low"] <= row["recall_at_10"] <= row["ci_high"]
    recall = MEASURE.of([(1.0, CONVERTED)]).recall[0]
    assert rows[0]["recall_at_10"] == pytest.approx(recall)


@pytest.mark.slow
def test_backfilling_goes_from_converting_to_reembedding():
    """With no item re-embedded it is converting, with all of them the native model."""
    rows = tables.backfill_rows(MEASURE, [(2.0, CONVERTED), (-1.0, table(0.7))], NATIVE, ITEMS)
    values = [row["recall_at_10"] for row in rows]
    assert [row["share"] for row in rows] == [0, 0.05, 0.1, 0.25, 0.5, 1]
    expected = MEASURE.of([(2.0, CONVERTED), (-1.0, table(0.7))]).recall[0]
    assert values[0] == pytest.approx(expected)
    assert values[-1] == pytest.approx(1)


def test_the_items_of_most_leverage_are_reembedded_first():
    """The columns that become native are those of the items farthest out, by their covariance."""
    old = ITEMS.copy()
    old[[5, 77]] *= 30
    ((_, changed),) = tables.backfilled([(1.0, CONVERTED)], NATIVE, least_known(old), 2 / N)
    differs = (changed != CONVERTED).any(axis=0)
    assert set(np.flatnonzero(differs)) == {5, 77}
    np.testing.assert_array_equal(changed[:, [5, 77]], NATIVE[:, [5, 77]])


def test_thresholds_let_their_share_through():
    """Above each threshold lies the share of pairs it stands for, in every option's own scores."""
    rows = tables.threshold_rows(NATIVE, {"convert": CONVERTED, "bridge": table(1.0)})
    others = ~np.eye(N, dtype=bool)
    for row in rows:
        for name, scores in (("native", NATIVE), ("converted", CONVERTED), ("bridged", table(1.0))):
            share = np.mean(scores[others] > row[name])
            assert share == pytest.approx(row["share"], abs=2 / others.sum())


def test_calibration_is_the_line_of_least_squares():
    """Slope, intercept and R² are those of NumPy's fit of native scores on converted ones."""
    (row,) = tables.calibration_rows(NATIVE, {"convert": CONVERTED})
    others = ~np.eye(N, dtype=bool)
    slope, intercept = np.polyfit(CONVERTED[others].astype(float), NATIVE[others].astype(float), 1)
    assert row["slope"] == pytest.approx(slope, rel=1e-6)
    assert row["intercept"] == pytest.approx(intercept, abs=1e-8)
    assert row["r2"] == pytest.approx(np.corrcoef(CONVERTED[others], NATIVE[others])[0, 1] ** 2)
    assert row["reason"] is None


def test_scores_that_are_all_equal_have_no_line():
    """A map that answers one vector has scores that tell nothing: undefined, with a reason."""
    flat = np.where(np.isneginf(NATIVE), -np.inf, 0.5).astype(np.float32)
    (row,) = tables.calibration_rows(NATIVE, {"convert": flat})
    assert (row["slope"], row["intercept"], row["r2"]) == (None, None, None)
    assert row["reason"] == "all scores are equal"


def test_reembedding_has_a_recall_without_an_interval():
    """What is so by definition has no interval about it; the rest of the row is None with a reason."""
    row = tables.score_row(MEASURE, MEASURE.of([(1.0, NATIVE)]), certain=True)
    assert (row["recall_at_10"], row["ci_low"], row["ci_high"]) == pytest.approx((1, 1, 1))
    assert row["ndcg_at_10"] is None
    assert row["reason"] == "the pairs have no labels"
