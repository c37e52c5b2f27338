import numpy as np
import pytest
from tests.faces import Faces

from intertwine.features.feature_set import FeatureSet
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import MapPair
from intertwine.spaces import Space
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.pairs import read_pairs
from intertwine.studies.open_set.trials import directions, mapped_scores, native_scores

FACES = Faces({"a": 5, "b": 3})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return made-up people as a verification set."""
    path = tmp_path_factory.mktemp("faces")
    pairs = read_pairs(FACES.official(path / "pairs.txt"))
    return VerificationSet.of(FeatureSet.open(FACES.folder(path / "set")), pairs)


def random_map(source, target, d_source, d_target, seed):
    """Return an affine map."""
    rng = np.random.default_rng(seed)
    spaces = Space(source, d_source), Space(target, d_target)
    return LinearMap(
        rng.standard_normal((d_target, d_source)), rng.standard_normal(d_target), *spaces, "random"
    )


def test_a_mapped_source_against_the_papers_distance(data):
    """The score is one minus the paper's distance, the target as it is and M f normalised there."""
    fitted = random_map("a", "b", 5, 3, 0)
    pairs = np.array([3, 0, 17])
    found = mapped_scores(data, fitted, "a", "b", pairs)
    for pair, score in zip(pairs, found, strict=True):
        mapped = fitted.weight @ data.features["a"][data.first[pair]] + fitted.bias
        target = data.features["b"][data.second[pair]]
        distance = 1 - mapped @ target / np.linalg.norm(mapped)
        assert score == pytest.approx(1 - distance, abs=1e-14)


def test_both_sides_mapped(data):
    """With a pair of maps the score is the cosine in the shared space."""
    pair = MapPair(random_map("a", "s", 5, 4, 1), random_map("b", "s", 3, 4, 2))
    found = mapped_scores(data, pair, "a", "b", np.arange(20))
    for k, score in enumerate(found):
        x = pair.source.weight @ data.features["a"][data.first[k]] + pair.source.bias
        y = pair.target.weight @ data.features["b"][data.second[k]] + pair.target.bias
        assert score == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-14)


def test_native_scores_are_cosines(data):
    """Within one space the score is the cosine of the two images."""
    x = data.features["a"]
    expected = [x[i] @ x[j] for i, j in zip(data.first, data.second, strict=True)]
    np.testing.assert_allclose(native_scores(data, "a"), expected, atol=1e-15)


def test_what_maps_to_zero_scores_zero(data):
    """A map that sends everything to zero scores 0, never NaN."""
    spaces = Space("a", 5), Space("b", 3)
    fitted = LinearMap(np.zeros((3, 5)), np.zeros(3), *spaces, "zero")
    assert (mapped_scores(data, fitted, "a", "b", np.arange(4)) == 0).all()
    assert (directions(np.zeros((2, 3))) == 0).all()
