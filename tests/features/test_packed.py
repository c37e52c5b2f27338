import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.features import samples as packed
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
    with pytest.raises(InputError, match=r"no sample at .*none\.npz.*give its path with --faces"):
        packed.find_sample("faces.npz", tmp_path / "none.npz", option="--faces")
