import numpy as np
import pytest
from scipy.cluster.hierarchy import average, leaves_list
from scipy.spatial.distance import pdist, squareform
from tests.studies.similarity.similarity_cases import estimates_of

from intertwine.studies.similarity.arrangement import GAPS, TOO_FEW, dendrogram, distances, plane

RNG = np.random.default_rng(0)
NAMES = list("abcdefg")


def table_of(points):
    """Return the Euclidean distances of points."""
    return squareform(pdist(points))


def placed(row):
    """Return the (n, 2) coordinates of a plane."""
    return np.array([[point["x"], point["y"]] for point in row["points"]])


def angles(names, table):
    """Return estimates that hold a table of Procrustes angles."""
    return estimates_of(
        {
            (a, b): {"procrustes": None if np.isnan(table[i, j]) else float(table[i, j])}
            for i, a in enumerate(names)
            for j, b in enumerate(names)
            if i != j
        }
    )


def test_distances_are_the_procrustes_angles():
    """The table holds each pair's angle, with zeros on its diagonal."""
    table = table_of(RNG.uniform(size=(4, 3)))
    np.testing.assert_array_equal(distances("abcd", angles("abcd", table)), table)


def test_one_undefined_distance_leaves_no_tree_and_no_plane():
    """Where an angle is undefined there is no table, and tree and plane say why."""
    table = table_of(RNG.uniform(size=(4, 3)))
    table[1, 2] = np.nan
    assert distances("abcd", angles("abcd", table)) is None
    tree, flat = dendrogram("abcd", None), plane("abcd", None)
    assert tree["reason"] == flat["reason"] == GAPS
    assert tree["merges"] == tree["leaves"] == flat["points"] == []
    assert flat["share"] is None


def test_two_spaces_have_no_tree_and_no_plane():
    """Two spaces are too few to arrange."""
    table = np.array([[0, 1], [1, 0]], np.float64)
    assert dendrogram("ab", table)["reason"] == plane("ab", table)["reason"] == TOO_FEW


def test_the_tree_is_that_of_scipy():
    """Merges, heights, sizes and the order of leaves are those of average linkage in SciPy."""
    table = table_of(RNG.uniform(size=(7, 5)))
    row = dendrogram(NAMES, table)
    expected = average(squareform(table))
    np.testing.assert_allclose(row["merges"], expected, rtol=1e-12)
    assert row["leaves"] == [NAMES[i] for i in leaves_list(expected)]
    assert row["reason"] is None


def test_a_height_is_the_mean_distance_between_two_branches():
    """Each merge stands at the mean of all distances between the spaces that it brings together."""
    table = table_of(RNG.uniform(size=(7, 5)))
    members = {i: [i] for i in range(7)}
    for number, (i, j, height, size) in enumerate(dendrogram(NAMES, table)["merges"], start=7):
        mean = np.mean([table[a, b] for a in members[i] for b in members[j]])
        assert height == pytest.approx(mean, rel=1e-12)
        members[number] = members[i] + members[j]
        assert size == len(members[number])


@pytest.mark.parametrize("n", [3, 7])
def test_points_of_a_plane_are_recovered(n):
    """Of Euclidean distances in a plane the points come back, up to rotation: same distances."""
    table = table_of(RNG.standard_normal((n, 2)))
    row = plane(NAMES[:n], table)
    np.testing.assert_allclose(table_of(placed(row)), table, atol=1e-9)
    assert row["share"] == pytest.approx(1, abs=1e-9)
    assert [point["space"] for point in row["points"]] == NAMES[:n]


def test_points_on_a_line_lie_on_the_first_axis():
    """Where all spaces are on a line the second coordinate is zero."""
    table = np.abs(np.subtract.outer(np.arange(5.0), np.arange(5.0)))
    x, y = placed(plane(NAMES[:5], table)).T
    np.testing.assert_allclose(np.abs(np.diff(x)), 1, atol=1e-9)
    np.testing.assert_allclose(y, 0, atol=1e-6)


def test_the_plane_is_that_of_principal_components():
    """Of Euclidean distances the coordinates are the points' two main components, but for signs."""
    from sklearn.decomposition import PCA

    points = RNG.standard_normal((7, 5))
    row, components = plane(NAMES, table_of(points)), PCA(2).fit(points)
    expected = components.transform(points)
    np.testing.assert_allclose(np.abs(placed(row)), np.abs(expected), atol=1e-9)
    assert row["share"] == pytest.approx(components.explained_variance_ratio_.sum(), rel=1e-9)


def test_the_sign_of_an_axis_does_not_depend_on_rounding():
    """The largest coordinate of each axis is positive."""
    points = placed(plane(NAMES, table_of(RNG.standard_normal((7, 5)))))
    assert (points[np.abs(points).argmax(axis=0), [0, 1]] > 0).all()


def test_equal_spaces_have_no_plane():
    """Spaces at distance zero from each other lie on one point, which is said and not drawn."""
    row = plane("abc", np.zeros((3, 3)))
    assert row["reason"] == "all spaces are equal"
    assert row["points"] == []


def test_distances_of_no_euclidean_space_give_numbers():
    """Angles that fit in no Euclidean space, with negative eigenvalues, give finite coordinates."""
    table = np.full((7, 7), 1.5)
    np.fill_diagonal(table, 0)
    table[:3, 3:] = table[3:, :3] = 0.8
    row = plane(NAMES, table)
    assert np.isfinite(placed(row)).all()
    assert 0 < row["share"] <= 1
