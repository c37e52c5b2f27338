"""What every encoder is, whatever ecosystem it came from."""

from __future__ import annotations

import numpy as np
import pytest

from intertwine.encoders.encoder import Encoder, probe_dim
from intertwine.encoders.preprocessing import Preprocessing
from intertwine.errors import InputError
from intertwine.spaces import Head


def test_encode():
    """Features are what the run makes of preprocessed images, in float32."""
    encoder = Encoder(
        "mean", "test:", 3, Preprocessing((2, 2), scale=2), None, "00", "out", 0,
        run=lambda batch: batch.mean(axis=(1, 2), dtype=np.float64),
    )  # fmt: skip
    images = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    features = encoder.encode(images)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, 2 * images.mean(axis=(1, 2)))


def test_probe_dim():
    """The features of one image must be one vector, and the one that the head reads."""
    assert probe_dim(np.zeros((1, 3)), where="net", head=Head(np.zeros((2, 3)))) == 3
    with pytest.raises(InputError, match=r"net: features have shape \(1, 3, 2, 2\)"):
        probe_dim(np.zeros((1, 3, 2, 2)), where="net", head=None)
    with pytest.raises(InputError, match="features have dimension 4, but the head reads 3"):
        probe_dim(np.zeros((1, 4)), where="net", head=Head(np.zeros((2, 3))))
