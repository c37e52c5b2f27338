from dataclasses import replace

import numpy as np
import pytest
from tests.faces import Faces, naive_threshold

from intertwine.features.feature_set import FeatureSet
from intertwine.maps.map_pair import MapPair
from intertwine.studies.open_set.best_protocol import best_trials, choose
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.pairs import read_pairs
from intertwine.studies.open_set.recipes import Recipe, RecipeMaps
from intertwine.studies.open_set.scores import score_checkpoints

FACES = Faces({"a": 12, "b": 9}, people=16, per_kind=20, noise=0.6)
FEW = (Recipe(1.0, 0.3), Recipe(0.0, 30.0), Recipe(8.0, 1.0))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return made-up people as a verification set."""
    path = tmp_path_factory.mktemp("faces")
    pairs = read_pairs(FACES.official(path / "pairs.txt"))
    return VerificationSet.of(FeatureSet.open(FACES.folder(path / "set")), pairs)


def naive_score(data, fitted, pair, source, target):
    """Return the score of one pair under one map."""
    x, y = data.features[source][data.first[pair]], data.features[target][data.second[pair]]
    if isinstance(fitted, MapPair):
        y = fitted.target.weight @ y + fitted.target.bias
        fitted = fitted.source
    x = fitted.weight @ x + fitted.bias
    return x @ y / np.linalg.norm(x) / np.linalg.norm(y)


def right(scores, same, threshold):
    """Return how many decisions are right."""
    return sum((s > threshold) == y for s, y in zip(scores, same, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("side", ["target", "shared"])
def test_every_fold_against_a_slow_reading(data, side):
    """Recipe, threshold and accuracy of each fold equal nested loops over folds, recipes and pairs."""
    maps = RecipeMaps(data, side, FEW)
    found = best_trials(maps)
    assert set(found) == {("a", "b"), ("b", "a")}
    trial = found["a", "b"]
    for k in range(4):
        best = (-1, None, None)
        training = [p for p in range(len(data.fold)) if data.fold[p] != k]
        same = [bool(data.same[p]) for p in training]
        for number in range(3):
            scores = [0.0] * len(training)
            for j in set(range(4)) - {k}:
                fitted = maps.without((min(j, k), max(j, k)))("a")["b", number]
                for at, p in enumerate(training):
                    if data.fold[p] == j:
                        scores[at] = naive_score(data, fitted, p, "a", "b")
            threshold = naive_threshold(scores, same)
            if right(scores, same, threshold) > best[0]:
                best = (right(scores, same, threshold), number, threshold)
        _, number, threshold = best
        fitted = maps.without((k,))("a")["b", number]
        tested = np.flatnonzero(data.fold == k)
        scores = [naive_score(data, fitted, p, "a", "b") for p in tested]
        assert trial.recipes[k] == FEW[number]
        assert trial.accuracy.thresholds[k] == pytest.approx(threshold, abs=1e-9)
        expected = right(scores, data.same[tested], threshold) / len(tested)
        assert trial.accuracy.accuracies[k] == pytest.approx(expected)
    assert trial.alpha == np.median([recipe.alpha for recipe in trial.recipes])


@pytest.mark.slow
def test_a_test_fold_has_no_say_in_its_recipe_and_threshold(data):
    """Other features and answers in a fold change neither its recipe nor its threshold."""
    people = data.in_folds()[:, 2]
    held, tested = people[data.person], data.fold == 2
    moved = {name: array.copy() for name, array in data.features.items()}
    for array in moved.values():
        array[held] = np.roll(array[held], 1, axis=1)
    other = replace(data, features=moved)
    before, after = (best_trials(RecipeMaps(each, "target", FEW)) for each in (data, other))
    for pair, trial in before.items():
        assert after[pair].recipes[2] == trial.recipes[2]
        same_threshold = pytest.approx(trial.accuracy.thresholds[2], abs=1e-9)
        assert after[pair].accuracy.thresholds[2] == same_threshold
        assert not np.allclose(after[pair].accuracy.scores[tested], trial.accuracy.scores[tested])


def test_the_most_accurate_recipe_on_the_other_folds_is_chosen():
    """A fold's own pairs do not count, and the first of equally good recipes wins."""
    fold, same = np.repeat([0, 1, 2], 4), np.tile([True, False], 6)
    good, bad = np.where(same, 1.0, 0.0), np.tile([0.0, 0.0, 1.0, 1.0], 3)
    only_own = np.where(fold == 0, good, bad)
    tables = np.stack([np.tile(scores, (3, 1)) for scores in (bad, only_own, good, good)])
    assert choose(tables, same, fold).tolist() == [2, 2, 2]
    assert choose(tables[:2], same, fold).tolist() == [0, 1, 1]


@pytest.mark.slow
def test_one_recipe_needs_no_choice(data):
    """With one recipe every fold has it, and every pair of networks both directions."""
    found = best_trials(RecipeMaps(data, "shared", FEW[:1]))
    assert all(trial.recipes == FEW[:1] * 4 for trial in found.values())
    assert found["a", "b"].n_fit == found["b", "a"].n_fit
    assert found["a", "b"].accuracy.mean > 0.7


@pytest.mark.slow
def test_a_study_goes_on_from_its_checkpoints(data, tmp_path, monkeypatch):
    """Scores that are saved are not made again, and give the same trials."""
    maps, seen = RecipeMaps(data, "target", FEW), []
    saved = score_checkpoints(tmp_path, data, "best")
    before = best_trials(maps, saved=saved, progress=lambda *step: seen.append(step))
    assert seen[-1] == ("fitting and scoring folds", 10, 10)
    monkeypatch.setattr(RecipeMaps, "without", lambda *_: pytest.fail("fitted again"))
    after = best_trials(maps, saved=saved)
    for pair, trial in before.items():
        np.testing.assert_array_equal(after[pair].accuracy.scores, trial.accuracy.scores)
        assert after[pair].recipes == trial.recipes
