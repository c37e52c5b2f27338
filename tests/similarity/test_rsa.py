import sys
from itertools import permutations

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from tests.helpers import CASES, make

from intertwine.errors import InputError
from intertwine.similarity.pairwise import RowView
from intertwine.similarity.row_bootstrap import Z
from intertwine.similarity.rsa import rsa

# The package's `rsa` is the function; this is its module.
module = sys.modules[rsa.__module__]

ENOUGH = [case for case in CASES if case != "two rows"]


def views(a, b):
    """Return the views of two spaces."""
    return RowView.of(a, name="a"), RowView.of(b, name="b")


@pytest.mark.parametrize("dissimilarity", ["euclidean", "correlation"])
@pytest.mark.parametrize("case", [case for case in ENOUGH if case not in {"to one", "from one"}])
def test_rsa_is_spearmans_correlation_of_scipys_distances(case, dissimilarity):
    """It equals SciPy's Spearman of SciPy's condensed distances, for both dissimilarities."""
    a, b = make(case)
    # Rows of rank one are correlated by 1 or −1 exactly, but for SciPy's rounding.
    digits = 9 if (case, dissimilarity) == ("rank one", "correlation") else 16
    expected = spearmanr(*(pdist(x, dissimilarity).round(digits) for x in (a, b))).statistic
    got = rsa(*views(a, b), dissimilarity=dissimilarity)
    # Far from the origin SciPy's own distances lose digits, and with them the order of near ties.
    assert got.score == pytest.approx(expected, abs=1e-6 if case == "far" else 1e-9)
    assert got.null == 0


def test_ties_have_average_ranks():
    """Distances of whole numbers, full of ties, are ranked as SciPy ranks them."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, (40, 2)).astype(float)
    b = a + rng.integers(0, 2, (40, 2))
    squares = [pdist(x, "sqeuclidean").round() for x in (a, b)]
    assert rsa(*views(a, b)).score == pytest.approx(spearmanr(*squares).statistic, abs=1e-12)


def test_monotone_changes_of_the_distances_do_not_matter():
    """One column and its stretched copy with the same order of distances score 1."""
    a = 2.0 ** np.arange(8)[:, None]
    assert rsa(*views(a, 3.0 ** np.arange(8)[:, None])).score == pytest.approx(1)


def test_the_null_is_that_of_all_permutations():
    """Over all pairings of few rows the mean is 0, and no interval is narrower than their sd."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((5, 2)), rng.standard_exponential((5, 3))
    view = RowView.of(a, name="a")
    estimates = [rsa(view, RowView.of(b[list(p)], name="b")) for p in permutations(range(5))]
    scores = np.array([estimate.score for estimate in estimates])
    assert scores.mean() == pytest.approx(0, abs=1e-12)
    for estimate in estimates:
        assert estimate.low <= max(estimate.score - Z * scores.std(), -1) + 1e-9
        assert estimate.high >= min(estimate.score + Z * scores.std(), 1) - 1e-9


def test_many_rows_are_sampled_alike_in_every_space(monkeypatch):
    """Above the limit the same random rows are taken of both spaces, others by another seed."""
    monkeypatch.setattr(module, "MAX_ROWS", 50)
    a, _ = make("tall")
    left, right = views(a, 2 * a[:, ::-1] + 1)
    assert rsa(left, right).score == pytest.approx(1)
    rows = module._drawn_rows(200, 0)
    assert len(set(rows.tolist())) == 50
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() != module._drawn_rows(200, 1).tolist()


def test_the_reason_tells_what_has_no_order():
    """Equal distances, equal features in a row, and two rows give reasons for a number."""
    other = np.random.default_rng(0).standard_normal((6, 3))
    a, b = views(np.eye(6), other)
    reason = "a has one distance for all pairs of 6 rows"
    assert rsa(a, b).reasons == rsa(b, a).reasons == (reason,)
    a, b = views(other * [[1], [1], [0], [1], [1], [1]] + 7, other)
    assert rsa(a, b).score is not None
    reason = "a has rows whose features are all equal: no correlation"
    assert rsa(a, b, dissimilarity="correlation").reasons == (reason,)
    a, b = views(np.eye(2), np.eye(2))
    assert rsa(a, b).reasons == ("RSA needs at least 3 rows, got 2",)


def test_an_unknown_dissimilarity_is_refused():
    """A misspelt dissimilarity is named beside those there are."""
    a, b = views(np.eye(5), np.eye(5))
    with pytest.raises(InputError, match="got dissimilarity 'cosine', expected one of euclidean"):
        rsa(a, b, dissimilarity="cosine")


@pytest.mark.parametrize("n_collinear", [40, 39])
def test_rows_on_one_line_have_no_order_of_correlations(n_collinear):
    """Multiples and offsets of one pattern correlate by 1 all: no RSA, unless one row differs."""
    rng = np.random.default_rng(0)
    pattern, other = rng.standard_normal(95), rng.standard_normal((40, 95))
    features = rng.uniform(1, 5, (40, 1)) * pattern + rng.standard_normal((40, 1))
    features[n_collinear:] = rng.standard_normal((40 - n_collinear, 95))
    x, y = RowView.of(features, name="x"), RowView.of(other, name="y")
    found = rsa(x, y, dissimilarity="correlation")
    if n_collinear == 40:
        assert found.reasons == ("x has one correlation, 1, for all pairs of 40 rows",)
        return
    ours, theirs = pdist(features, "correlation").round(9), pdist(other, "correlation")
    assert found.score == pytest.approx(spearmanr(ours, theirs).statistic, abs=1e-12)


@pytest.mark.parametrize(("factor", "rounding"), [(30.0, 1e-12), (1e3, 1e-12), (1e5, 1e-7)])
def test_far_rows_are_ranked_by_their_distances(factor, rounding):
    """Rows far beyond the median distance are told apart, as SciPy tells them apart."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((200, 20)), rng.standard_normal((200, 20))
    a[:10] *= factor
    b[:10] *= factor
    found = rsa(RowView.of(a, name="a"), RowView.of(b, name="b")).score
    assert found == pytest.approx(spearmanr(pdist(a), pdist(b)).statistic, abs=rounding)
