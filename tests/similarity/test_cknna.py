import numpy as np
import pytest
from scipy.spatial.distance import cdist
from tests.helpers import CASES, make

from intertwine.similarity.neighbours import cknna
from intertwine.similarity.pairwise import RowView

ENOUGH = [case for case in CASES if case != "two rows"]


def align(k, m, mask) -> float:
    """Return Σ k_ij m_ij over the pairs of a mask."""
    n = len(k)
    return sum(k[i, j] * m[i, j] for i in range(n) for j in range(n) if mask[i, j])


def definition(a, b, k) -> float:
    """Return CKNNA by loops over all pairs of rows."""
    kernels, masks = [], []
    for x in (a, b):
        distances = cdist(x, x)
        np.fill_diagonal(distances, np.inf)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
        mask = np.zeros((len(x), len(x)), bool)
        np.put_along_axis(mask, nearest, values=True, axis=1)
        z = x - x.mean(axis=0)
        kernels.append(z @ z.T)
        masks.append(mask)
    (ka, kb), (ma, mb) = kernels, masks
    return align(ka, kb, ma & mb) / np.sqrt(align(ka, ka, ma) * align(kb, kb, mb))


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("case", ENOUGH)
def test_cknna_is_its_definition(case, k):
    """It equals loops over all pairs of rows with n × n kernels."""
    a, b = make(case)
    got = cknna(RowView.of(a, name="a"), RowView.of(b, name="b"), k=k)
    tolerance = 1e-8 if case == "far" else 1e-10
    assert got.score == pytest.approx(definition(a, b, k or 10), abs=tolerance)


def test_neighbours_at_the_mean_have_no_kernel():
    """Where every row's neighbours lie at the mean the reason is given, not 0/0."""
    cross = np.array([[0.0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]])
    a = RowView.of(cross, name="a")
    b = RowView.of(np.random.default_rng(0).standard_normal((6, 2)), name="b")
    for pair in ((a, b), (b, a)):
        got = cknna(*pair, k=1)
        assert got.score is None
        assert got.reasons == ("the nearest neighbours of a have no kernel but 0",)
