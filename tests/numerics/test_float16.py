import numpy as np
import pytest

from intertwine.numerics.arrays import widen, widened


def test_every_finite_number_is_widened_exactly():
    """All 63,488 finite float16 numbers, zeros of both signs and subnormals too, come out as NumPy has them."""
    numbers = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    numbers = numbers[np.isfinite(numbers)]
    out = np.empty(len(numbers), np.float32)
    widen(numbers, out)
    assert out.tobytes() == numbers.astype(np.float32).tobytes()


def test_strided_features():
    """Columns of a wider array are widened as they are."""
    features = np.random.default_rng(0).standard_normal((7, 10)).astype(np.float16)
    assert np.array_equal(widened(features[:, 2:9]), features[:, 2:9].astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wider_features_stay_as_they_are(dtype):
    """What is float32 or float64 already is given back itself."""
    features = np.ones((2, 3), dtype)
    assert widened(features) is features
