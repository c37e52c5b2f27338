import numpy as np

from intertwine.features.rows import row_number_hashes
from intertwine.studies.closed_set import fresh


def test_a_row_depends_on_its_id_alone():
    """A row's features are the same in any chunk and order."""
    hashes = row_number_hashes(64)
    whole = fresh.fresh_features(hashes, 20)
    np.testing.assert_array_equal(fresh.fresh_features(hashes[[40, 3]], 20), whole[[40, 3]])


def test_another_seed_gives_other_features():
    """The seed matters."""
    hashes = row_number_hashes(8)
    assert (fresh.fresh_features(hashes, 5, 1) != fresh.fresh_features(hashes, 5, 0)).all()


def test_features_are_standard_normal_and_unrelated():
    """Features have mean 0 and spread 1, and neither rows nor columns are correlated."""
    n, d = 4000, 12
    features = fresh.fresh_features(row_number_hashes(n), d).astype(np.float64)
    assert features.dtype == np.float64
    assert np.abs(features.mean(axis=0)).max() < 5 / np.sqrt(n)
    correlation = np.corrcoef(features, rowvar=False)
    assert np.abs(correlation - np.eye(d)).max() < 5 / np.sqrt(n)
    assert np.abs(features.var(axis=0) - 1).max() < 5 * np.sqrt(2 / n)
    assert abs((features[1:] * features[:-1]).mean()) < 5 / np.sqrt(n * d)


def test_the_head_has_full_rank_and_the_classes_given():
    """The head is square, of full rank, and stands for the classes of the others."""
    classes = np.array([7, 3, 5, 1])
    head = fresh.fresh_head(classes)
    assert head.weight.shape == (4, 4)
    assert np.linalg.matrix_rank(head.weight) == 4
    assert head.classes.tolist() == [7, 3, 5, 1]
    assert fresh.fresh_space(4).dim == 4
