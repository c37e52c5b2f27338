import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.features import samples as packed
from intertwine.features.feature_set import FeatureSet
from intertwine.spaces import Head

RNG = np.random.default_rng(0)


def test_eight_bits_cost_at_most_half_a_step():
    """Decoded features differ by at most half of 1/255 of each column's range."""
    array = RNG.standard_normal((200, 12)) * np.geomspace(1e-3, 1e3, 12)
    decoded = packed.decode(packed.encode(array))
    step = (array.max(axis=0) - array.min(axis=0)) / 255
    assert (np.abs(decoded - array) <= 0.502 * step).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_constant_columns_and_extremes_are_kept(dtype):
    """A constant column is exact, and so are the ends of every other column's range."""
    array = np.column_stack([np.full(50, 0.25), np.linspace(-1, 2, 50), np.zeros(50)]).astype(dtype)
    decoded = packed.decode(packed.encode(array))
    np.testing.assert_array_equal(decoded[:, [0, 2]], array[:, [0, 2]])
    np.testing.assert_allclose(decoded[[0, -1], 1], [-1, 2], rtol=1e-6)


def test_a_head_keeps_its_scores():
    """A decoded head differs by at most half of 1/127 of each class's largest weight."""
    head = Head(RNG.standard_normal((7, 20)), RNG.standard_normal(7))
    decoded = packed.decode_head(packed.encode_head(head))
    step = np.abs(head.weight).max(axis=1, keepdims=True) / 127
    assert (np.abs(decoded.weight - head.weight) <= 0.502 * step).all()
    np.testing.assert_allclose(decoded.bias, head.bias, rtol=1e-6)


def test_a_class_without_weights_survives():
    """A class whose weights are all zero stays so."""
    head = Head(np.array([[0.0, 0.0], [1.0, -2.0]]))
    np.testing.assert_array_equal(
        packed.decode_head(packed.encode_head(head)).weight[0], np.zeros(2)
    )


def test_an_absent_sample_names_the_option_that_gives_one(tmp_path):
    """A sample is the checkout's or the one given; one that is absent names the option."""
    (tmp_path / "s.npz").write_bytes(b"x")
    assert packed.find_sample("imagenet.npz", tmp_path / "s.npz") == tmp_path / "s.npz"
    assert packed.find_sample("imagenet.npz").name == "imagenet.npz"
    with pytest.raises(InputError, match=r"no sample at .*none\.npz.*with --faces"):
        packed.find_sample("faces.npz", tmp_path / "none.npz", option="--faces")


def test_the_package_carries_a_small_sample(tmp_path):
    """Three networks, images to fit on without labels, and others to score of all of its classes."""
    assert packed.SMALL.stat().st_size < 4_000_000
    fit, evaluation, controls, (note,) = packed.unpack(packed.SMALL, tmp_path)
    sets = FeatureSet.open(fit), FeatureSet.open(evaluation)
    assert [each.n for each in sets] == [900, 300]
    assert (sets[0].labels, controls) == (None, [])
    assert "comes with the package" in note
    assert len(sets[1].heads) == 3
    for name, head in sets[1].heads.items():
        guessed = head.logits(sets[1].read([name], range(300))[name]).argmax(axis=1)
        assert (guessed == sets[1].labels).mean() > 0.8


@pytest.mark.slow
def test_another_sample_replaces_the_one_before(tmp_path):
    """No space of a sample that was unpacked before stays beside those of the new one."""
    packed.unpack(packed.SMALL, tmp_path)
    (tmp_path / "fit" / "older.npy").write_bytes((tmp_path / "fit" / "googlenet.npy").read_bytes())
    (tmp_path / "unpacked.json").write_text('{"sha256": "of another sample"}')
    fit, *_ = packed.unpack(packed.SMALL, tmp_path)
    assert "older" not in FeatureSet.open(fit).spaces
