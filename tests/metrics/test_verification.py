from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intertwine.errors import InputError
from intertwine.metrics.verification import auc, eer, roc, tar_at_far


def pairs(seed=0, n=200, levels=None):
    """Return scores of matched and mismatched pairs; few levels make many ties."""
    rng = np.random.default_rng(seed)
    same = rng.random(n) < 0.4
    scores = rng.standard_normal(n) + same
    return (scores if levels is None else np.round(scores * levels) / levels), same


def naive_rates(scores, same, weights):
    """Return [(FAR, TAR)] at every threshold that changes anything, by counting each time."""
    rates = []
    for threshold in [*sorted(set(scores), reverse=True), -np.inf]:
        accepted = [score > threshold for score in scores]
        sums = {True: 0.0, False: 0.0}
        for yes, kind, weight in zip(accepted, same, weights, strict=True):
            sums[bool(kind)] += weight * yes
        rates.append((sums[False] / weights[~same].sum(), sums[True] / weights[same].sum()))
    return rates


def naive_eer(rates):
    """Return where FAR = FRR on the polygon through the rates, a side at a time."""
    for (far, tar), (next_far, next_tar) in pairwise(rates):
        before, after = far - (1 - tar), next_far - (1 - next_tar)
        if before < 0 <= after:
            return far + (next_far - far) * before / (before - after)
    raise AssertionError


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_curve_is_what_counting_gives(levels, weighted):
    """Each step is the share of pairs above its threshold, equal scores together."""
    scores, same = pairs(levels=levels)
    weights = np.random.default_rng(1).integers(0, 4, len(scores)) if weighted else None
    curve = roc(scores, same, weights)
    expected = naive_rates(scores, same, np.ones(len(scores)) if weights is None else weights)
    np.testing.assert_allclose(np.stack([curve.far, curve.tar], axis=1), expected, atol=1e-14)
    assert len(curve.thresholds) == len(set(scores)) + 1


@pytest.mark.parametrize("levels", [None, 2])
def test_scikit_learn_gives_the_same_curve_and_area(levels):
    """AUC and the steps of the ROC equal scikit-learn's with the same sample weights."""
    from sklearn.metrics import roc_auc_score, roc_curve

    scores, same = pairs(levels=levels, seed=2)
    weights = np.random.default_rng(3).random(len(scores))
    curve = roc(scores, same, weights)
    far, tar, _ = roc_curve(same, scores, sample_weight=weights, drop_intermediate=False)
    np.testing.assert_allclose(curve.far, far, atol=1e-12)
    np.testing.assert_allclose(curve.tar, tar, atol=1e-12)
    expected = roc_auc_score(same, scores, sample_weight=weights)
    assert auc(scores, same, weights) == pytest.approx(expected, abs=1e-12)
    assert auc(scores, same) == pytest.approx(roc_auc_score(same, scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [None, 1])
def test_eer_and_tar_are_what_walking_the_curve_gives(seed, levels):
    """EER is where the polygon crosses FAR = FRR, TAR the best admissible step."""
    scores, same = pairs(seed=seed, levels=levels)
    rates = naive_rates(scores, same, np.ones(len(scores)))
    assert eer(scores, same) == pytest.approx(naive_eer(rates), abs=1e-12)
    for limit in (0, 0.001, 0.01, 0.1, 1):
        expected = max(tar for far, tar in rates if far <= limit)
        assert tar_at_far(scores, same, limit) == pytest.approx(expected, abs=1e-12)


def test_a_far_that_is_reached_exactly_counts():
    """With 3,000 mismatched pairs, 3 accepted are a FAR of 1e-3 and 30 one of 1e-2."""
    scores = np.arange(6000.0)
    same = np.zeros(6000, bool)
    same[::2] = True
    assert tar_at_far(scores, same, 1e-3) == 3 / 3000  # 5999 5997 5995 are mismatched
    assert tar_at_far(scores, same, 1e-2) == 30 / 3000


def test_replicates_are_single_curves():
    """Each row of weights gives the numbers it gives alone."""
    scores, same = pairs(seed=4, levels=3)
    weights = np.random.default_rng(5).integers(0, 3, (7, len(scores)))
    for number in (auc, eer, lambda *given: tar_at_far(*given[:2], 0.1, *given[2:])):
        many = number(scores, same, weights)
        alone = [number(scores, same, row) for row in weights]
        np.testing.assert_allclose(many, alone, atol=1e-14)


def test_replicates_without_one_kind_of_pairs_are_left_out():
    """A replicate without matched or mismatched weight has no number, and the others keep theirs."""
    scores, same = np.array([3.0, 1.0, 2.0]), np.array([True, True, False])
    weights = np.array([[1.0, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal(auc(scores, same, weights), [1.0, 0.0])
    np.testing.assert_array_equal(tar_at_far(scores, same, 0.0, weights), [1.0, 0.0])
    assert eer(scores, same, weights[1:3]).shape == (0,)


@pytest.mark.parametrize("same", [[True, True], [False, False]])
def test_one_kind_of_pairs_is_undefined(same):
    """Without matched or without mismatched pairs there is no curve and no number."""
    scores = np.array([1.0, 2.0])
    assert roc(scores, np.array(same)) is None
    assert auc(scores, np.array(same)) is None
    assert eer(scores, np.array(same), np.ones(2)) is None
    assert tar_at_far(scores, np.array(same), 0.1) is None
    assert auc(scores, np.array(same), np.ones((3, 2))).shape == (0,)


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=30))
def test_invariants_of_the_numbers(drawn):
    """A monotone change of score moves nothing; turning scores round mirrors AUC and EER."""
    scores = np.array([float(score) for score, _ in drawn])
    same = np.array([kind for _, kind in drawn])
    if same.all() or not same.any():
        return
    moved = scores**3 + 7
    assert auc(moved, same) == auc(scores, same)
    assert tar_at_far(moved, same, 0.25) == tar_at_far(scores, same, 0.25)
    assert auc(-scores, same) == pytest.approx(1 - auc(scores, same), abs=1e-12)
    assert eer(-scores, same) == pytest.approx(1 - eer(scores, same), abs=1e-12)


def test_bad_arguments_are_named():
    """Every wrong argument is refused with what was expected."""
    scores, same = np.array([1.0, 2.0]), np.array([True, False])
    with pytest.raises(InputError, match=r"got scores \(2,\) and same \(1,\)"):
        roc(scores, same[:1])
    with pytest.raises(InputError, match=r"got weights \(3,\) for 2 pairs"):
        roc(scores, same, np.ones(3))
    with pytest.raises(InputError, match="got score nan at pair 1"):
        roc(np.array([1.0, np.nan]), same)
    with pytest.raises(InputError, match="negative or not finite"):
        roc(scores, same, np.array([1.0, -1.0]))
    with pytest.raises(InputError, match=r"got FAR 1\.5, expected a number in 0 … 1"):
        tar_at_far(scores, same, 1.5)
