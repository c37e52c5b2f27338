import numpy as np
import pytest

from intertwine.metrics.intervals import jackknife_error, t_factor
from intertwine.studies.plan.measure import Estimate, Measure

N, K = 90, 10


def table(seed, n=N):
    """Return scores of items with each other, none with itself."""
    scores = np.random.default_rng(seed).standard_normal((n, n)).astype(np.float32)
    np.fill_diagonal(scores, -np.inf)
    return scores


def naive(native, scores, labels, kept):
    """Return recall, nDCG and precision among some items, query by query."""
    from sklearn.metrics import ndcg_score

    native, scores, labels = native[np.ix_(kept, kept)], scores[np.ix_(kept, kept)], labels[kept]
    recall, ndcg, precision = [], [], []
    for query in range(len(kept)):
        first = np.argsort(-scores[query])[:K]
        recall.append(len(set(np.argsort(-native[query])[:K]) & set(first)) / K)
        others = np.arange(len(kept)) != query
        same = labels[others] == labels[query]
        if same.any():
            ndcg.append(ndcg_score([same.astype(float)], [scores[query, others]], k=K))
            precision.append(np.mean(labels[first] == labels[query]))
    return np.mean(recall), np.mean(ndcg), np.mean(precision)


@pytest.fixture(scope="module")
def measured():
    """Return two tables, labels with some that stand alone, and what counts them."""
    labels = np.random.default_rng(0).integers(0, 8, N)
    labels[:3] = [100, 101, 102]
    native, scores = table(1), table(2)
    return native, scores, labels, Measure(native, labels)


@pytest.mark.slow
def test_every_number_is_that_of_a_plain_loop(measured):
    """Recall, nDCG and precision, with everybody and without each group, equal a loop's."""
    native, scores, labels, measure = measured
    found = measure.of([(1.0, scores)])
    everybody = np.arange(N)
    parts = [everybody, *(everybody[measure.group != group] for group in range(20))]
    for place, kept in enumerate(parts):
        got = (found.recall[place], found.ndcg[place], found.precision[place])
        np.testing.assert_allclose(got, naive(native, scores, labels, kept), atol=1e-6)


def test_groups_are_balanced(measured):
    """The groups hold as many items as each other, or one more."""
    sizes = measured[3].sizes
    assert len(sizes) == 20
    assert sizes.sum() == N
    assert sizes.max() - sizes.min() <= 1


def test_tables_combine_linearly(measured):
    """A combination finds the combination of what its tables find."""
    native, scores, _, measure = measured
    both = measure.of([(2.0, scores), (-1.0, native)])
    one, other = measure.of([(1.0, scores)]), measure.of([(1.0, native)])
    for name in ("recall", "ndcg", "precision"):
        expected = 2 * one.by_name(name) - other.by_name(name)
        np.testing.assert_allclose(both.by_name(name), expected, atol=1e-12)


def test_the_truth_finds_itself(measured):
    """Native scores have a recall of 1, whoever is left out."""
    native, _, _, measure = measured
    np.testing.assert_allclose(measure.of([(1.0, native)]).recall, 1)


def test_chance_is_what_equal_scores_find(measured):
    """A gallery of equal vectors finds what the closed form says, by labels too."""
    native, _, labels, measure = measured
    flat = np.where(np.isneginf(native), -np.inf, 0).astype(np.float32)
    found, chance = measure.of([(1.0, flat)]), measure.of_chance()
    for name in ("recall", "ndcg", "precision"):
        np.testing.assert_allclose(found.by_name(name), chance.by_name(name), atol=1e-12)
    assert chance.recall[0] == pytest.approx(K / (N - 1))
    assert Measure(native).of_chance().ndcg is None
    assert labels is not None


def test_intervals_are_those_of_the_jackknife(measured):
    """An interval is the jackknife's error times Student's factor, and stays within 0 … 1."""
    measure = measured[3]
    values = np.random.default_rng(3).uniform(0.9, 1.0, 21)
    found = measure.estimate(values)
    half = t_factor(20) * jackknife_error(values[0], values[1:], measure.sizes)
    assert (found.value, found.low, found.high) == pytest.approx(
        (values[0], values[0] - half, values[0] + half)
    )
    assert Estimate(1.02, -0.1, 1.3).clipped() == Estimate(1.0, 0.0, 1.0)


def test_items_of_unknown_label_are_not_alike(measured):
    """Items with a negative label are neither relevant nor asked: as if each had its own."""
    native, scores, labels, _ = measured
    unknown, own = labels.copy(), labels.copy()
    unknown[10:40] = -1
    own[10:40] = 200 + np.arange(30)
    found, expected = (Measure(native, each).of([(1.0, scores)]) for each in (unknown, own))
    np.testing.assert_array_equal(found.ndcg, expected.ndcg)
    np.testing.assert_array_equal(found.precision, expected.precision)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [(None, "the pairs have no labels"), (np.arange(N), "too few pairs share a label")],
)
def test_without_labels_nothing_is_counted_by_them(labels, reason):
    """Where no two items share a label, or there are none, nDCG is undefined and the reason said."""
    measure = Measure(table(1), labels)
    found = measure.of([(1.0, table(2))])
    assert found.ndcg is None
    assert found.precision is None
    assert measure.unlabelled == reason
