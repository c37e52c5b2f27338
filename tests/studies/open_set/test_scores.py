from dataclasses import replace

import numpy as np
import pytest
from tests.faces import Faces

from intertwine.features.feature_set import FeatureSet
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.pairs import read_pairs
from intertwine.studies.open_set.scores import (
    MapScores,
    save_scores,
    saved_scores,
    score_checkpoints,
)

FACES = Faces({"a": 5, "b": 3})
SCORED = [
    MapScores("a", "b", None, 40, 0.5, "", np.arange(3.0)),
    MapScores("b", "a", 8, 41, None, "GCV chose", np.arange(2.0)),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return made-up people as a verification set."""
    path = tmp_path_factory.mktemp("faces")
    pairs = read_pairs(FACES.official(path / "pairs.txt"))
    return VerificationSet.of(FeatureSet.open(FACES.folder(path / "set")), pairs)


def test_what_is_saved_is_found(data, tmp_path):
    """Scores come back as they were, by stage and folds."""
    saved = score_checkpoints(tmp_path, data, "options")
    assert saved_scores(saved, (0, 1)) is None
    save_scores(saved, (0, 1), SCORED)
    for found, each in zip(saved_scores(saved, (0, 1)), SCORED, strict=True):
        assert found[:-1] == each[:-1]
        np.testing.assert_array_equal(found.scores, each.scores)
    assert saved_scores(saved.at("ranks"), (0, 1)) is None
    assert saved_scores(saved, (0,)) is None


def test_another_study_finds_nothing(data, tmp_path):
    """Other options or features have another key, and what others left is removed."""
    save_scores(score_checkpoints(tmp_path, data, "options"), (0,), SCORED)
    assert saved_scores(score_checkpoints(tmp_path, data, "options"), (0,)) is not None
    moved = replace(data, features={**data.features, "a": -data.features["a"]})
    assert saved_scores(score_checkpoints(tmp_path, moved, "options"), (0,)) is None
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_counts_as_none(data, tmp_path):
    """A file that is altered is made again."""
    saved = score_checkpoints(tmp_path, data, "options")
    save_scores(saved, (0,), SCORED)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
    assert saved_scores(saved, (0,)) is None
