import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.metrics.ranking import cmc, ranks, tpir_at_fpir


def test_a_rank_is_the_place_in_the_sorted_list():
    """Without ties a rank is where the own person stands among all, best first."""
    rng = np.random.default_rng(0)
    scores, own = rng.standard_normal((50, 12)), rng.integers(0, 12, 50)
    expected = [
        1 + list(np.argsort(-row)).index(person) for row, person in zip(scores, own, strict=True)
    ]
    np.testing.assert_array_equal(ranks(scores, own), expected)


def test_equal_scores_count_against_a_probe():
    """A system that gives everybody the same score ranks the own person last."""
    np.testing.assert_array_equal(ranks(np.zeros((3, 7)), np.array([0, 3, 6])), [7, 7, 7])


def test_the_curve_counts_what_is_found_by_each_rank():
    """Each rate is the weighted share of ranks up to it, and the last over all people is 1."""
    rng = np.random.default_rng(1)
    found, weights = rng.integers(1, 9, 40), rng.integers(0, 3, (5, 40)).astype(float)
    expected = [[(row * (found <= k)).sum() / row.sum() for k in range(1, 9)] for row in weights]
    np.testing.assert_allclose(cmc(found, 8, weights), expected, atol=1e-14)
    np.testing.assert_allclose(cmc(found, 3), [(found <= k).mean() for k in (1, 2, 3)])
    assert cmc(found, 8)[-1] == pytest.approx(1)


def naive_tpir(mates, correct, impostors, fpir):
    """Return the best TPIR over every threshold that keeps the FPIR, by counting each time."""
    best = 0.0
    for threshold in [*mates, *impostors]:
        if np.mean(impostors > threshold) <= fpir:
            best = max(best, float(np.mean(correct & (mates > threshold))))
    return best


@pytest.mark.parametrize("fpir", [0.0, 0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("levels", [None, 3])
def test_tpir_is_what_trying_every_threshold_gives(fpir, levels):
    """TPIR is the best that a threshold with an admissible FPIR reaches, ties included."""
    rng = np.random.default_rng(2)
    mates, impostors = rng.standard_normal(60) + 1, rng.standard_normal(45)
    correct = rng.random(60) < 0.7
    if levels:
        mates, impostors = np.round(mates * levels), np.round(impostors * levels)
    got = tpir_at_fpir(mates, correct, impostors, fpir)
    assert float(got) == pytest.approx(naive_tpir(mates, correct, impostors, fpir), abs=1e-12)


def test_weights_are_repeated_searches():
    """Whole weights give what writing each search out that often gives."""
    rng = np.random.default_rng(3)
    mates, impostors, correct = rng.random(30), rng.random(20), rng.random(30) < 0.5
    weights = rng.integers(0, 4, (6, 30)), rng.integers(0, 4, (6, 20))
    got = tpir_at_fpir(mates, correct, impostors, 0.2, weights)
    for value, mine, theirs in zip(got, *weights, strict=True):
        written_out = (
            np.repeat(mates, mine),
            np.repeat(correct, mine),
            np.repeat(impostors, theirs),
        )
        assert value == pytest.approx(float(tpir_at_fpir(*written_out, 0.2)), abs=1e-12)


def test_a_wrong_answer_is_no_hit():
    """A search that is answered with somebody else never counts, however high its score."""
    mates, impostors = np.array([9.0, 8.0]), np.array([1.0])
    assert float(tpir_at_fpir(mates, np.array([False, True]), impostors, 0.0)) == 0.5
    assert float(tpir_at_fpir(mates, np.array([False, False]), impostors, 0.5)) == 0.0


def test_without_mates_or_impostors_nothing_is_defined():
    """No search of one kind leaves nothing to report."""
    one, none = np.ones(1), np.empty(0)
    assert tpir_at_fpir(none, none.astype(bool), one, 0.1).shape == (0,)
    assert tpir_at_fpir(one, one.astype(bool), none, 0.1).shape == (0,)
    weights = np.zeros((4, 1)), np.ones((4, 1))
    assert tpir_at_fpir(one, one.astype(bool), one, 0.1, weights).shape == (0,)


def test_bad_arguments_are_named():
    """No probe, no depth, and an FPIR that leaves no threshold are refused."""
    with pytest.raises(InputError, match="got 0 probes and depth 3"):
        cmc(np.empty(0), 3)
    with pytest.raises(InputError, match="got 2 probes and depth 0"):
        cmc(np.ones(2), 0)
    with pytest.raises(InputError, match=r"got FPIR 1\.0"):
        tpir_at_fpir(np.ones(1), np.ones(1, bool), np.ones(1), 1.0)
