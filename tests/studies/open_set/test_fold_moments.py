import numpy as np
import pytest
from tests.faces import Faces

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.moments.moments import Moments
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.fold_moments import FoldMoments, fold_sets, scored_pairs
from intertwine.studies.open_set.pairs import read_pairs

FACES = Faces({"a": 5, "b": 3})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return made-up people as a verification set."""
    path = tmp_path_factory.mktemp("faces")
    pairs = read_pairs(FACES.official(path / "pairs.txt"))
    return VerificationSet.of(FeatureSet.open(FACES.folder(path / "set")), pairs)


def expected_rows(data, kind, folds):
    """Return the rows that may be fitted on, by a loop: images of source and target."""
    out = set(folds)
    if kind == "matched-pairs":
        return [
            (i, j)
            for i, j, same, fold in zip(data.first, data.second, data.same, data.fold, strict=True)
            if same and fold not in out
        ]
    held = {
        int(data.person[image])
        for i, j, fold in zip(data.first, data.second, data.fold, strict=True)
        for image in (i, j)
        if fold in out
    }
    return [(i, i) for i in range(data.n_images) if int(data.person[i]) not in held]


@pytest.mark.parametrize("kind", ["matched-pairs", "images"])
@pytest.mark.parametrize("folds", [(0,), (2,), (1, 3), (0, 1, 2)])
def test_subtracting_a_fold_is_fitting_without_it(data, kind, folds):
    """Moments without folds equal moments of the rows that remain, counted one by one."""
    rows = FoldMoments.of(data, kind)
    found = rows.without(folds)
    left, right = np.array(expected_rows(data, kind, folds)).T
    direct = Moments({"x": 5, "y": 3})
    direct.update({"x": data.features["a"][left], "y": data.features["b"][right]})
    a, b = rows.source("a"), rows.target("b")
    assert found.n == direct.n == len(left)
    np.testing.assert_allclose(found.scatter(a, b), direct.scatter("x", "y"), atol=1e-12)
    np.testing.assert_allclose(found.scatter(a), direct.scatter("x"), atol=1e-12)
    np.testing.assert_allclose(found.mean(b), direct.mean("y"), atol=1e-14)


def test_repeated_rows_count_repeatedly(data):
    """Taking a row twice is having it twice."""
    rows = FoldMoments.of(data, "images")
    once, twice = rows.without((1,)), rows.taking(np.repeat(np.arange(rows.n), 2)).without((1,))
    assert twice.n == 2 * once.n
    np.testing.assert_allclose(twice.scatter("a"), 2 * once.scatter("a"), atol=1e-12)


def test_too_few_rows(data):
    """Where hardly a row remains the error names the folds left out."""
    rows = FoldMoments.of(data, "images")
    with pytest.raises(InputError, match="got 0 rows to fit on without fold 1, 2, 3, 4, expected"):
        rows.without(range(4))


def test_crossfit_fills_every_cell_with_maps_that_saw_neither_fold():
    """Each training pair of a tested fold is scored by the map fitted without both folds."""
    fold = np.repeat(np.arange(4), 3)
    filled = {}
    for folds in fold_sets(4, "crossfit"):
        for row, chosen in scored_pairs(folds, fold, "crossfit"):
            for pair in chosen:
                assert (row, pair) not in filled
                filled[row, pair] = set(folds)
    assert len(filled) == 4 * 12
    assert all(seen == {row, int(fold[pair])} for (row, pair), seen in filled.items())


def test_train_fills_every_row_with_its_own_map():
    """With training thresholds one map scores all pairs of a tested fold's row."""
    fold = np.repeat(np.arange(3), 2)
    for k, folds in enumerate(fold_sets(3, "train")):
        ((row, chosen),) = scored_pairs(folds, fold, "train")
        assert (row, len(chosen)) == (k, 6)


@pytest.mark.parametrize("folds", [(0,), (0, 1, 2)])
def test_moments_are_closed_before_threads_read_them(data, folds):
    """Nothing waits to be added when moments are handed to threads, of a difference or not."""
    assert FoldMoments.of(data, "images").without(folds)._block.n == 0
