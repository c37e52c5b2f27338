from itertools import permutations

import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.similarity.cknna import cknna
from intertwine.similarity.mutual_knn import mutual_knn
from intertwine.similarity.neighbours import default_k
from intertwine.similarity.pairwise import RowView
from intertwine.similarity.row_bootstrap import Z

BOTH = pytest.mark.parametrize("measure", [mutual_knn, cknna])


@pytest.mark.parametrize(("m", "k"), [(3, 1), (4, 1), (5, 2), (20, 9), (21, 10), (4096, 10)])
def test_few_rows_have_fewer_neighbours(m, k):
    """Ten neighbours, or half of the other rows where that is less."""
    assert default_k(m) == k


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
