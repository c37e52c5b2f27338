from dataclasses import replace

import numpy as np
import pytest
from tests.faces import Faces

from intertwine.features.feature_set import FeatureSet
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.pairs import read_pairs
from intertwine.studies.open_set.shelf import Scored, ScoreShelf

FACES = Faces({"a": 5, "b": 3})
SCORED = [
    Scored("a", "b", None, 40, 0.5, "", np.arange(3.0)),
    Scored("b", "a", 8, 41, None, "GCV chose", np.arange(2.0)),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return made-up people as a verification set."""
    path = tmp_path_factory.mktemp("faces")
    pairs = read_pairs(FACES.official(path / "pairs.txt"))
    return VerificationSet.of(FeatureSet.open(FACES.folder(path / "set")), pairs)


def test_what_is_kept_is_found(data, tmp_path):
    """Scores come back as they were, by stage and folds."""
    shelf = ScoreShelf.of(tmp_path, data, "options")
    assert shelf.load((0, 1)) is None
    shelf.save((0, 1), SCORED)
    for found, each in zip(shelf.load((0, 1)), SCORED, strict=True):
        assert found[:-1] == each[:-1]
        np.testing.assert_array_equal(found.scores, each.scores)
    assert shelf.at("ranks").load((0, 1)) is None
    assert shelf.load((0,)) is None


def test_another_study_finds_nothing(data, tmp_path):
    """Other options or features have another key, and what others left is removed."""
    ScoreShelf.of(tmp_path, data, "options").save((0,), SCORED)
    assert ScoreShelf.of(tmp_path, data, "options").load((0,)) is not None
    moved = replace(data, features={**data.features, "a": -data.features["a"]})
    assert ScoreShelf.of(tmp_path, moved, "options").load((0,)) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-9], lambda b: b[:-9] + b"x" * 9, lambda _: b""],
    ids=["cut", "altered", "empty"],
)
def test_a_damaged_file_counts_as_none(data, tmp_path, damage):
    """A file that is cut or altered is made again."""
    shelf = ScoreShelf.of(tmp_path, data, "options")
    shelf.save((0,), SCORED)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert shelf.load((0,)) is None
