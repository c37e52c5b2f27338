from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.helpers import assert_close, assert_refuses_damage, make, moments_of

from intertwine.errors import FileFormatError, InputError, SpaceMismatchError
from intertwine.estimators import cca
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import MapPair, load_map
from intertwine.spaces import Space
from intertwine.storage.files import write_tensors

A, B = make("tall")
PAIR = cca(moments_of(A, B), "a", ["b"])["b"]


def test_a_pair_is_one_map_through_the_shared_space():
    """The one map sends x to the y whose shared coordinates are x's."""
    through = PAIR.to_map()
    assert (through.source, through.target) == (PAIR.source.source, PAIR.target.source)
    assert through.method == "cca"
    assert_close(PAIR.target.apply(through.apply(A)), PAIR.source.apply(A), 1e-10)
    assert PAIR.name == through.name == "a--b"


def test_a_pair_maps_as_its_one_map():
    """Applying or calling a pair leads from source to target, vectors and tensors too."""
    expected = PAIR.to_map().apply(A)
    assert np.array_equal(PAIR(A), expected)
    assert np.array_equal(PAIR.apply(A[0]), PAIR.to_map().apply(A[:1])[0])
    import torch

    assert isinstance(PAIR(torch.from_numpy(A)), torch.Tensor)


def test_its_repr_names_its_spaces():
    """A pair shows its three spaces and what is known of its fit."""
    assert repr(PAIR) == "<MapPair a (12) → cca.a.b (7) ← b (7): cca, λ 1, n 200>"


def test_the_one_map_keeps_the_means_together():
    """The source's mean is sent to the target's mean."""
    assert_close(PAIR.to_map().apply(A.mean(axis=0)[None])[0], B.mean(axis=0), 1e-12)


def test_maps_into_different_spaces_are_no_pair():
    """Two maps into two spaces are refused."""
    other = replace(PAIR.target, target=Space("other", PAIR.target.target.dim))
    with pytest.raises(SpaceMismatchError, match=r"got maps into cca.a.b and other, expected one"):
        MapPair(PAIR.source, other)


def test_pairs_come_back(tmp_path):
    """A pair read from its file has the same two maps; saved again, the same bytes."""
    date = datetime(2024, 5, 6, tzinfo=UTC)
    for name in "xy":
        PAIR.save(tmp_path / name, created=date)
    loaded = MapPair.load(tmp_path / "x")
    for side in ("source", "target"):
        got, expected = getattr(loaded, side), getattr(PAIR, side)
        assert np.array_equal(got.weight, expected.weight)
        assert np.array_equal(got.bias, expected.bias)
        assert np.array_equal(got.source_spread, expected.source_spread)
        assert (got.source, got.target, got.info) == (
            expected.source,
            expected.target,
            expected.info,
        )
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_either_kind_of_file_is_a_map(tmp_path):
    """`load_map` reads a map, and a pair as the one map through its shared space."""
    PAIR.save(tmp_path / "pair")
    PAIR.source.save(tmp_path / "map")
    assert np.array_equal(load_map(tmp_path / "pair").weight, PAIR.to_map().weight)
    assert np.array_equal(load_map(tmp_path / "map").weight, PAIR.source.weight)


@pytest.mark.slow
def test_damaged_files_are_refused(tmp_path):
    """A pair's file with any bit flipped, or cut, is a format error of one line."""
    small = cca(moments_of(A[:, :2], B[:, :2]), "a", ["b"])["b"]
    small.save(tmp_path / "x")
    assert_refuses_damage(tmp_path / "x", load_map)


def test_files_that_are_no_maps_are_refused(tmp_path):
    """An absent file is bad input; moments and half a pair are format errors."""
    with pytest.raises(InputError, match="absent: no such map file"):
        load_map(tmp_path / "absent")
    with pytest.raises(InputError, match="no such map file"):
        load_map(tmp_path)
    moments_of(A, B).save(tmp_path / "moments")
    with pytest.raises(FileFormatError, match="holds a moments, expected a map"):
        load_map(tmp_path / "moments")
    PAIR.source.save(tmp_path / "map")
    with pytest.raises(FileFormatError, match="holds a map, expected a map pair"):
        MapPair.load(tmp_path / "map")
    tensors = {f"source/{name}": array for name, array in PAIR.source.tensors().items()}
    header = {"source": PAIR.source.header()}
    write_tensors(tmp_path / "half", tensors, kind="map pair", header=header)
    with pytest.raises(FileFormatError, match="half: holds no 'target'"):
        load_map(tmp_path / "half")
    header["target"] = PAIR.target.header()
    write_tensors(tmp_path / "half", tensors, kind="map pair", header=header)
    with pytest.raises(FileFormatError, match="half: holds no 'weight'"):
        load_map(tmp_path / "half")


def test_a_pair_of_other_maps():
    """Any two maps into one space make a pair."""
    shared = Space("shared", 2)
    eye = np.eye(2)
    sides = [
        LinearMap(k * eye, np.zeros(2), Space(name, 2), shared, "by hand")
        for k, name in ((2.0, "x"), (4.0, "y"))
    ]
    assert MapPair(*sides).to_map().apply([[2.0, 6.0]]).tolist() == [[1.0, 3.0]]
