from dataclasses import replace

import numpy as np
import pytest
from tests.faces import Faces

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.pairs import read_pairs
from intertwine.studies.open_set.recipes import RECIPES, Recipe, RecipeMaps

FACES = Faces({"a": 5, "b": 3, "c": 6})
FEW = (Recipe(1.0, 0.5), Recipe(0.0, 2.0))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return made-up people as a verification set."""
    path = tmp_path_factory.mktemp("faces")
    pairs = read_pairs(FACES.official(path / "pairs.txt"))
    return VerificationSet.of(FeatureSet.open(FACES.folder(path / "set")), pairs)


def penalised(x, person, recipe):
    """Return K of one space, person by person."""
    centred = x - x.mean(axis=0)
    total, freedom = np.zeros((x.shape[1], x.shape[1])), 0
    for each in np.unique(person):
        rows = x[person == each]
        if len(rows) > 1:
            total += (rows - rows.mean(axis=0)).T @ (rows - rows.mean(axis=0))
            freedom += len(rows) - 1
    within = recipe.within * len(x) * total / freedom
    return centred.T @ centred + within + recipe.alpha * np.eye(x.shape[1])


def power(matrix, exponent):
    """Return a symmetric matrix to a power."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T


def training_rows(data, folds):
    """Return the images of people that no left-out fold shows, one by one."""
    held = {
        int(data.person[image])
        for i, j, fold in zip(data.first, data.second, data.fold, strict=True)
        for image in (i, j)
        if fold in folds
    }
    return np.array([i for i in range(data.n_images) if int(data.person[i]) not in held])


@pytest.mark.parametrize("folds", [(1,), (0, 3)])
def test_maps_of_the_source_against_rows_of_the_other_folds(data, folds):
    """Each recipe's map is its formula on the images of people in no left-out fold."""
    maps = RecipeMaps(data, "target", FEW).without(folds)("a")
    rows = training_rows(data, folds)
    x, y, person = data.features["a"][rows], data.features["b"][rows], data.person[rows]
    for number, recipe in enumerate(FEW):
        cross = (y - y.mean(axis=0)).T @ (x - x.mean(axis=0))
        expected = power(penalised(y, person, recipe), -0.5) @ cross
        expected = expected @ power(penalised(x, person, recipe), -1)
        unit = y.mean(axis=0) / np.linalg.norm(y.mean(axis=0))
        expected = expected - np.outer(unit, unit) @ expected
        found = maps["b", number]
        np.testing.assert_allclose(found.weight, expected, rtol=1e-8, atol=1e-11)
        assert found.info["n"] == len(rows)
    assert set(maps) == {(target, number) for target in ("b", "c") for number in range(2)}


def test_shared_spaces_against_the_svd_of_rows(data):
    """Products in the shared space are those of whitened, correlated coordinates of the rows."""
    folds = (2,)
    fit = RecipeMaps(data, "shared", FEW).without(folds)
    rows = training_rows(data, folds)
    x, y, person = data.features["a"][rows], data.features["b"][rows], data.person[rows]
    centred = x - x.mean(axis=0), y - y.mean(axis=0)
    forth, back = fit("a"), fit("b")
    for number, recipe in enumerate(FEW):
        white = [power(penalised(side, person, recipe), -0.5) for side in (x, y)]
        u, rho, vt = np.linalg.svd(white[0] @ centred[0].T @ centred[1] @ white[1])
        k = len(rho)
        left = centred[0] @ white[0] @ u[:, :k] * rho
        right = centred[1] @ white[1] @ vt[:k].T * rho
        expected = len(rows) * left @ right.T
        pair = forth["b", number]
        got = pair.source.apply(x) @ pair.target.apply(y).T
        np.testing.assert_allclose(got, expected, atol=1e-8 * np.abs(expected).max())
        turned = back["a", number]
        assert (turned.source.source.name, turned.target.source.name) == ("b", "a")
        got = turned.target.apply(x) @ turned.source.apply(y).T
        np.testing.assert_allclose(got, expected, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("side", ["target", "shared"])
def test_a_left_out_fold_has_no_part_in_its_maps(data, side):
    """Other features for a fold's people leave the maps without that fold as they are."""
    moved = {name: array.copy() for name, array in data.features.items()}
    people = data.in_folds()[:, 1]
    for array in moved.values():
        array[people[data.person]] = -np.roll(array[people[data.person]], 1, axis=0)
    other = replace(data, features=moved)
    before, after = (RecipeMaps(each, side, FEW).without((1,))("a") for each in (data, other))
    changed = RecipeMaps(other, side, FEW).without((0,))("a")
    for key, fitted in before.items():
        ours, theirs, fresh = (
            each.source if side == "shared" else each for each in (fitted, after[key], changed[key])
        )
        product = ours.weight.T @ ours.weight
        np.testing.assert_allclose(theirs.weight.T @ theirs.weight, product, atol=1e-9)
        assert not np.allclose(fresh.weight.T @ fresh.weight, product, atol=1e-3)


def test_recipes_cover_labels_used_and_unused():
    """The recipes hold maps without labels too, each recipe once."""
    assert len(set(RECIPES)) == len(RECIPES)
    assert {recipe.within for recipe in RECIPES} >= {0.0, 1.0}


def test_bad_options_are_refused(data):
    """An unknown side and an empty list of recipes are refused."""
    with pytest.raises(InputError, match="got side 'both', expected one of target, shared"):
        RecipeMaps(data, "both")
    with pytest.raises(InputError, match="got no recipe, expected at least one"):
        RecipeMaps(data, "target", ())


def test_nobody_with_two_images(data):
    """Where nobody has two images the error says so, not that people are too few."""
    alone = replace(data, person=np.arange(data.n_images))
    with pytest.raises(InputError, match="nobody has two images outside fold 1"):
        RecipeMaps(alone, "target", FEW).without([0])("a")
