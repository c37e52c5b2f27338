import numpy as np
import pytest
from scipy.spatial.distance import cdist
from tests.helpers import CASES, make

from intertwine.errors import InputError
from intertwine.similarity import pairwise
from intertwine.similarity.pairwise import BLOCK, RowView, require_same_rows


def all_distances(view):
    """Return the (m, m) distances of a view."""
    blocks = [np.asarray(view.squared_distances(rows)) for rows in view.blocks()]
    return np.sqrt(np.concatenate(blocks))


@pytest.mark.quick("to more")
@pytest.mark.parametrize("case", CASES)
def test_distances_are_those_of_scipy_up_to_one_scale(case):
    """Distances in blocks equal SciPy's, divided by one number for all pairs."""
    features, _ = make(case)
    expected = cdist(features, features)
    view = RowView.of(features, name="a")
    centred = features - features.mean(axis=0)
    scale = np.sqrt((centred**2).sum() / len(features))
    assert all_distances(view) * scale == pytest.approx(expected, rel=1e-7, abs=1e-7 * scale)
    upper = expected[np.triu_indices(len(features), 1)]
    assert view.median_distance * scale == pytest.approx(np.median(upper), rel=1e-7)


def test_blocks_tile_the_rows():
    """Every row is in exactly one block, and blocks give what one block gives."""
    m = 2 * BLOCK + 7
    features = np.random.default_rng(0).standard_normal((m, 3))
    view = RowView.of(features, name="a")
    assert [row for rows in view.blocks() for row in range(m)[rows]] == list(range(m))
    whole = np.sqrt(view.squared_distances(slice(0, m)))
    assert np.abs(all_distances(view) - whole).max() < 1e-7


def test_equal_rows_have_distance_zero_and_equal_distances():
    """Copies of a row are at distance 0 of each other and tie to the bit with all others."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((40, 17))[rng.integers(0, 12, 90)]
    view = RowView.of(features, name="a")
    distances = all_distances(view)
    assert ((distances == 0) == (cdist(features, features) == 0)).all()
    assert (distances == distances[:, view.first]).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e200, 1e308])
def test_the_unit_of_the_features_does_not_matter(scale):
    """Features of any magnitude that float64 holds have the same view."""
    features = np.random.default_rng(0).uniform(-1, 1, (30, 4))
    got = RowView.of(features * scale, name="a").features
    assert got == pytest.approx(RowView.of(features, name="a").features, abs=1e-12)
    assert np.sum(got**2) == pytest.approx(30)


def as_matrix(near, m):
    """Return the shares of neighbours as an (m, m) matrix."""
    shares = np.zeros((m, m))
    shares[near.rows, near.columns] = near.shares
    return shares


def test_nearest_rows_come_nearest_first():
    """Without ties neighbours are those of a sort, in its order, each a whole one."""
    for m in (50, BLOCK + 30):
        features = np.random.default_rng(0).standard_normal((m, 3))
        squares = cdist(features, features, "sqeuclidean")
        np.fill_diagonal(squares, np.inf)
        near = RowView.of(features, name="a").nearest(7)
        assert (near.rows == np.repeat(np.arange(m), 7)).all()
        assert (near.columns == np.argsort(squares, axis=1)[:, :7].ravel()).all()
        assert (near.shares == 1).all()


@pytest.mark.slow
def test_rows_at_one_distance_share_the_last_places():
    """Shares are what breaking ties at random gives on average, and sum to k."""
    rng = np.random.default_rng(0)
    for m, levels in ((50, 3), (BLOCK + 30, 4)):
        features = rng.integers(0, levels, (m, 3)).astype(float)
        squares = ((features[:, None] - features) ** 2).sum(axis=2)
        np.fill_diagonal(squares, np.inf)
        last = np.sort(squares, axis=1)[:, 6:7]
        closer, tied = squares < last, squares == last
        places = 7 - closer.sum(axis=1, keepdims=True)
        expected = closer + tied * (places / tied.sum(axis=1, keepdims=True))
        got = as_matrix(RowView.of(features, name="a").nearest(7), m)
        assert got == pytest.approx(expected, abs=1e-14)
        assert got.sum(axis=1) == pytest.approx(np.full(m, 7.0))


@pytest.mark.parametrize("factor", [10.0, 1e3, 1e6])
def test_far_rows_have_their_own_nearest_rows(factor):
    """Rows beyond any number of median distances are told apart as near ones are."""
    features = np.random.default_rng(1).standard_normal((300, 20))
    features[:15] *= factor
    squares = cdist(features, features, "sqeuclidean")
    np.fill_diagonal(squares, np.inf)
    near = RowView.of(features, name="a").nearest(5)
    assert (near.shares == 1).all()
    assert (near.columns.reshape(300, 5) == np.argsort(squares, axis=1)[:, :5]).all()


def test_steps_of_far_distances_keep_their_order():
    """Steps rise with distance at any scale, and noise in the last digits makes no new step."""
    view = RowView.of(np.random.default_rng(0).standard_normal((60, 3)), name="a")
    squares = view.median_distance**2 * np.logspace(-3, 30, 2000)
    steps = view.tie_steps(squares)
    assert (np.diff(steps) > 0).all()
    # In the middle of a step: what rounding does there stays within it.
    assert (view.tie_steps(steps * (view.median_distance**2 / 2**40)) == steps).all()


def test_more_ties_than_memory_holds_are_no_neighbours(monkeypatch):
    """Above the limit nothing comes back, in place of memory running out."""
    monkeypatch.setattr(pairwise, "MOST_NEIGHBOURS", 200)
    features = np.random.default_rng(0).standard_normal((40, 2))
    assert RowView.of(features, name="a").nearest(5) is not None
    features[5:] = features[5]
    assert RowView.of(features, name="a").nearest(5) is None


def test_no_row_is_its_own_neighbour():
    """With all other rows asked for, every row but itself comes back."""
    features = np.random.default_rng(0).standard_normal((6, 2))
    features[3:] = features[:3]
    near = RowView.of(features, name="a").nearest(5)
    assert (as_matrix(near, 6) == 1 - np.eye(6)).all()


def test_the_median_of_mostly_equal_rows_is_of_the_rest():
    """Where most distances are 0 the median is that of the others, and 0 only if all are."""
    view = RowView.of(np.array([[0.0], [0], [0], [0], [1]]), name="a")
    assert view.median_distance == pytest.approx(1 / np.std([0, 0, 0, 0, 1]))
    constant = RowView.of(np.full((4, 2), 0.1), name="a")
    assert constant.constant
    assert constant.median_distance == 0
    assert not constant.features.any()


def test_rows_that_rounding_tells_apart_are_equal():
    """Copies of two rows, turned so that rounding differs, are at distance 0 or one other."""
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(40)
    scales = rng.uniform(1, 2, 30)[:, None]
    copies = np.where(np.arange(30)[:, None] < 24, 1, -1) * scales * direction / scales
    view = RowView.of(copies, name="a")
    distances = all_distances(view)
    assert (
        np.sort(np.unique(distances.round(9))) == np.unique([0, view.median_distance]).round(9)
    ).all()
    assert ((distances == 0).sum(axis=1) == np.where(np.arange(30) < 24, 24, 6)).all()


def test_things_are_made_once():
    """What a view remembers is not made again."""
    view = RowView.of(np.eye(3), name="a")
    assert view.once("key", lambda: 1) == 1
    assert view.once("key", lambda: 2) == 1


def test_unusable_features_are_refused():
    """Shape, rows and finiteness are checked when a view is made."""
    with pytest.raises(InputError, match=r"a: got an array of shape \(3,\)"):
        RowView.of(np.zeros(3), name="a")
    with pytest.raises(InputError, match="a: got no rows"):
        RowView.of(np.zeros((0, 3)), name="a")
    with pytest.raises(InputError, match="a: NaN or infinite features in rows 1"):
        RowView.of(np.array([[0.0], [np.nan]]), name="a")
    with pytest.raises(InputError, match="got device 'tpu'"):
        RowView.of(np.eye(3), name="a", device="tpu")


def test_two_spaces_must_have_the_same_rows_in_one_memory():
    """Other row counts, and arrays of two libraries, are named in the error."""
    import torch

    a = RowView.of(np.eye(3), name="a")
    with pytest.raises(InputError, match="got 3 rows of a and 4 of b"):
        require_same_rows(a, RowView.of(np.eye(4), name="b"))
    with pytest.raises(InputError, match="a on cpu as ndarray and b on cpu as Tensor; prepare"):
        require_same_rows(a, RowView.of(torch.eye(3), name="b"))
    require_same_rows(a, RowView.of(torch.eye(3), name="b", device="cpu"))
