import numpy as np
import pytest
from tests.helpers import CASES, make

from intertwine.similarity.neighbours import mutual_knn
from intertwine.similarity.pairwise import RowView

# Two equally near rows are taken by order here and by chance of the tree there.
DISTINCT = [case for case in CASES if case != "two rows"]


def neighbours(features, k):
    """Return scikit-learn's k nearest other rows of every row."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=k).fit(features)
    return found.kneighbors(return_distance=False)


@pytest.mark.parametrize("k", [None, 1, 20])
@pytest.mark.parametrize("case", DISTINCT)
def test_overlap_is_that_of_scikit_learns_neighbours(case, k):
    """It is the mean share of neighbours that scikit-learn finds in both spaces."""
    a, b = make(case)
    got = mutual_knn(RowView.of(a, name="a"), RowView.of(b, name="b"), k=k)
    k = k or 10
    rows = zip(neighbours(a, k), neighbours(b, k), strict=True)
    expected = np.mean([len(set(i) & set(j)) / k for i, j in rows])
    assert got.score == pytest.approx(expected, abs=1e-12)
    assert got.null == pytest.approx(k / (len(a) - 1), rel=1e-12)


def test_duplicated_rows_share_their_places():
    """Among 29 equal rows each is a neighbour to 10/29, so no 10 of them are agreed on."""
    features = np.repeat([[0.0], [5.0]], 30, axis=0)
    got = mutual_knn(RowView.of(features, name="a"), RowView.of(-2 * features, name="b"))
    assert got.score == pytest.approx(10 / 29)
