from itertools import permutations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from intertwine.errors import InputError
from intertwine.similarity import pairwise
from intertwine.similarity.neighbours import cknna, default_k, mutual_knn
from intertwine.similarity.pairwise import RowView
from intertwine.similarity.row_bootstrap import Z


def one_hot(rng):
    """Return labels of ten classes as one-hot codes."""
    return np.eye(10)[rng.integers(0, 10, 400)]


def binary(rng):
    """Return codes of eight bits."""
    return rng.integers(0, 2, (400, 8)).astype(float)


def dead_rows(rng):
    """Return ReLU features of which three rows in ten are zero."""
    features = np.maximum(rng.standard_normal((400, 20)), 0)
    features[rng.random(400) < 0.3] = 0
    return features


def copies(rng):
    """Return rows of which every one is there twelve times, in random order."""
    return rng.standard_normal((400, 6))[rng.integers(0, 33, 400)]


def outliers(rng):
    """Return Gaussian rows of which the first twenty are a thousand times as long."""
    features = rng.standard_normal((400, 50))
    features[:20] *= 1000
    return features


def overlap_at_random(a, b, k, draws=40):
    """Return the mean overlap of neighbours over random ways to break ties, from SciPy's distances."""
    rng, m = np.random.default_rng(1), len(a)
    total = 0
    for _ in range(draws):
        sets = []
        for features in (a, b):
            squares = cdist(features, features, "sqeuclidean").round(9)
            np.fill_diagonal(squares, np.inf)
            order = np.lexsort((rng.random((m, m)), squares), axis=1)[:, :k]
            chosen = np.zeros((m, m), bool)
            np.put_along_axis(chosen, order, values=True, axis=1)
            sets.append(chosen)
        total += (sets[0] & sets[1]).sum()
    return total / (draws * m * k)


BOTH = pytest.mark.parametrize("measure", [mutual_knn, cknna])


@pytest.mark.parametrize(("m", "k"), [(3, 1), (4, 1), (5, 2), (20, 9), (21, 10), (4096, 10)])
def test_few_rows_have_fewer_neighbours(m, k):
    """Ten neighbours, or half of the other rows where that is less."""
    assert default_k(m) == k


@pytest.mark.quick("cknna-2")
@pytest.mark.parametrize("k", [1, 2])
@BOTH
def test_the_null_is_that_of_all_permutations(measure, k):
    """Null mean equals that of all pairings of few rows, and no interval is within their sd."""
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((5, 2)), rng.standard_exponential((5, 3))
    view = RowView.of(a, name="a")
    estimates = [
        measure(view, RowView.of(b[list(p)], name="b"), k=k) for p in permutations(range(5))
    ]
    scores = np.array([estimate.score for estimate in estimates])
    lowest = 0 if measure is mutual_knn else -1
    for estimate in estimates:
        assert estimate.null == pytest.approx(scores.mean(), abs=1e-12)
        assert estimate.low <= max(estimate.score - Z * scores.std(), lowest) + 1e-9
        assert estimate.high >= min(estimate.score + Z * scores.std(), 1) - 1e-9


@BOTH
def test_two_rows_have_no_neighbours_to_compare(measure):
    """With fewer than 3 rows the reason is given in place of a number."""
    view = RowView.of(np.eye(2), name="a")
    assert measure(view, view).reasons == ("nearest neighbours need at least 3 rows, got 2",)


@pytest.mark.parametrize("k", [0, 5, -1])
@BOTH
def test_an_impossible_number_of_neighbours_is_refused(measure, k):
    """Neighbours are at least one and fewer than the rows."""
    view = RowView.of(np.eye(5), name="a")
    with pytest.raises(InputError, match=f"got k = {k} neighbours, expected 1 to 4 for 5 rows"):
        measure(view, view, k=k)


@pytest.mark.quick("one_hot")
@pytest.mark.parametrize("features", [one_hot, binary, dead_rows, copies, outliers])
def test_overlap_is_that_of_ties_broken_at_random(features):
    """Unrelated spaces full of ties or outliers score what random tie-breaking gives: chance."""
    rng = np.random.default_rng(2)
    a, b = features(rng), features(rng)
    found = mutual_knn(RowView.of(a, name="a"), RowView.of(b, name="b"))
    assert found.score == pytest.approx(overlap_at_random(a, b, 10), abs=1.5e-3)
    assert found.null == pytest.approx(10 / 399)
    assert found.low <= found.null <= found.high


@pytest.mark.quick("mutual_knn-one_hot")
@pytest.mark.parametrize("features", [one_hot, binary, copies])
@BOTH
def test_ties_leave_the_null_that_of_shuffled_rows(measure, features):
    """Over shuffled rows the mean score of spaces with ties is the null that is stated."""
    rng = np.random.default_rng(3)
    a, b = features(rng)[:150], features(rng)[:150]
    view = RowView.of(a, name="a")
    found = [measure(view, RowView.of(rng.permutation(b), name="b")) for _ in range(30)]
    scores = np.array([each.score for each in found])
    assert scores.mean() == pytest.approx(found[0].null, abs=5 * scores.std() / np.sqrt(30))


@BOTH
def test_the_order_of_rows_does_not_matter(measure):
    """Spaces full of ties score the same in any order of the rows."""
    rng = np.random.default_rng(4)
    a, b, order = binary(rng), one_hot(rng), rng.permutation(400)
    score = measure(RowView.of(a, name="a"), RowView.of(b, name="b")).score
    turned = measure(RowView.of(a[order], name="a"), RowView.of(b[order], name="b")).score
    assert turned == pytest.approx(score, abs=1e-12)


@BOTH
def test_ties_beyond_memory_are_said(measure, monkeypatch):
    """A space whose ties memory does not hold has no score, and a reason."""
    monkeypatch.setattr(pairwise, "MOST_NEIGHBOURS", 1000)
    view = RowView.of(np.eye(2)[np.arange(100) % 2], name="a")
    assert measure(view, view).reasons == ("a has too many equal distances between its 100 rows",)
