"""Rows of the right space pass, rows of another are refused."""

from dataclasses import replace

import numpy as np
import pytest

from intertwine.errors import SpaceMismatchError
from intertwine.estimators import ridge
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.source_check import check_source, main_directions, require_source
from intertwine.moments.moments import Moments
from intertwine.spaces import Space

DIMS = {"a": 256, "b": 256}
SIZES = [1, 5, 100, 1000]


@pytest.fixture(scope="module")
def world(networks):
    """Return two networks of one dimension, and the map a → b that knows its source."""
    nets = networks(DIMS, n_classes=12, latent=10)
    features, _ = nets.rows(3000, 1)
    moments = Moments(DIMS)
    moments.update(features)
    linear_map = ridge(moments, "a", ["b"])["b"]
    return nets, moments, replace(linear_map, source_directions=main_directions(moments, "a"))


def test_main_directions_are_the_principal_components(world):
    """The directions are the top right singular vectors, as long as the deviation along them."""
    nets, moments, _ = world
    features, _ = nets.rows(3000, 1)
    centred = features["a"].astype(np.float64) - features["a"].mean(axis=0, dtype=np.float64)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    directions = main_directions(moments, "a")[::-1]
    assert len(directions) == 256 // 16
    np.testing.assert_allclose(
        np.linalg.norm(directions, axis=1), values[:16] / np.sqrt(3000), rtol=1e-6
    )
    cosines = np.abs((directions * vectors[:16]).sum(axis=1)) / np.linalg.norm(directions, axis=1)
    np.testing.assert_allclose(cosines, 1, atol=1e-6)


def test_a_constant_space_has_no_directions():
    """Directions along which nothing varies are left out."""
    moments = Moments({"a": 20})
    moments.update({"a": np.full((5, 20), 3.0)})
    assert main_directions(moments, "a").shape == (0, 20)


@pytest.mark.quick("False-100")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("one_class", [False, True])
def test_rows_of_the_right_space_pass(world, size, one_class):
    """No fresh rows of the map's source are refused, not even rows of one class."""
    nets, _, linear_map = world
    features, labels = nets.rows(20_000, 2)
    pool = features["a"][labels == 3] if one_class else features["a"]
    for start in range(0, len(pool) - size, max(size, len(pool) // 20)):
        check = check_source(linear_map, pool[start : start + size])
        assert check.informative == (size > 1)
        assert check.passed, check


@pytest.mark.parametrize("size", [5, 100, 1000])
def test_a_map_applied_backwards_is_refused(world, size):
    """Rows of the target, which has the same dimension, are refused and the message says why."""
    nets, _, linear_map = world
    rows = nets.rows(size, 3)[0]["b"]
    with pytest.raises(SpaceMismatchError, match=r"rows\.npy does not look like features of a: "):
        require_source(linear_map, rows, name="rows.npy")


def test_shuffled_dimensions_are_refused(world):
    """Rows of the right space with their dimensions in another order are refused."""
    nets, _, linear_map = world
    rows = nets.rows(100, 3)[0]["a"][:, np.random.default_rng(0).permutation(256)]
    assert not check_source(linear_map, rows).passed


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_another_normalisation_is_refused(world, factor):
    """Rows of the right space at another scale are refused."""
    nets, _, linear_map = world
    rows = factor * nets.rows(100, 3)[0]["a"]
    assert not check_source(linear_map, rows).passed


def test_a_map_without_statistics_says_so():
    """A map that knows nothing of its source refuses nothing."""
    linear_map = LinearMap(np.eye(2), np.zeros(2), Space("a", 2), Space("b", 2), "test")
    note = require_source(linear_map, np.ones((3, 2)), name="rows")
    assert note.startswith("rows: not checked to be vectors of a, of which map a--b holds no stat")


def test_a_space_without_main_directions_is_not_judged_by_them():
    """Features that vary alike in all directions are not told from others, and the note says so."""
    rng = np.random.default_rng(0)
    moments = Moments({"a": 64, "b": 2})
    moments.update({"a": rng.standard_normal((5000, 64)), "b": rng.standard_normal((5000, 2))})
    linear_map = ridge(moments, "a", ["b"])["b"]
    linear_map = replace(linear_map, source_directions=main_directions(moments, "a"))
    note = require_source(linear_map, rng.standard_normal((50, 64)), name="rows")
    assert "not checked to be vectors of a: there are too few rows" in note
    assert note.endswith("to recognise it by; mapped all the same")


def test_directions_of_too_few_rows_judge_nothing(world):
    """A map fitted on fewer rows than dimensions takes fresh rows of its source."""
    nets, _, _ = world
    moments = Moments(DIMS)
    moments.update(nets.rows(40, 1)[0])
    linear_map = ridge(moments, "a", ["b"])["b"]
    linear_map = replace(linear_map, source_directions=main_directions(moments, "a"))
    check = check_source(linear_map, nets.rows(500, 2)[0]["a"])
    assert not check.informative
    assert check.passed


def test_real_networks_of_one_dimension_are_told_apart():
    """GoogLeNet's map refuses MobileNet-v1's features and takes its own, on the bundled sample."""
    from intertwine.features.samples import decode, find_sample

    with np.load(find_sample("imagenet.npz"), allow_pickle=False) as stored:
        features = {
            name: decode({part: stored[f"{name}.{part}"] for part in ("codes", "scale", "offset")})
            for name in ("googlenet", "mobilenet_v1")
        }
    moments = Moments(dict.fromkeys(features, 1024))
    moments.update({name: array[:2000] for name, array in features.items()})
    for source, target in (("googlenet", "mobilenet_v1"), ("mobilenet_v1", "googlenet")):
        linear_map = ridge(moments, source, [target])[target]
        linear_map = replace(linear_map, source_directions=main_directions(moments, source))
        for start in range(2000, 4000, 100):
            rows = slice(start, start + 100)
            assert check_source(linear_map, features[source][rows]).passed
            assert not check_source(linear_map, features[target][rows]).passed
