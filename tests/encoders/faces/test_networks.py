"""Any ONNX face network by its URI."""

from __future__ import annotations

import numpy as np
import pytest

from intertwine.encoders.registry import open_encoder
from intertwine.errors import InputError


def test_onnx_face_network(shared_data):
    """A face network without a classifier opens with head=none; its output is the features."""
    uri = f"onnx:{shared_data / 'models' / 'w600k_mbf.onnx'}?mean=127.5&std=127.5"
    encoder = open_encoder(f"{uri}&face=arcface&head=none", threads=1)
    assert (encoder.dim, encoder.head, encoder.preprocessing.size) == (512, None, (112, 112))
    images = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        encoder.encode(images)[1], encoder.encode(images[1:])[0], rtol=1e-4, atol=1e-4
    )
    with pytest.raises(InputError, match=r"no head found: BatchNormalization .* give head=none"):
        open_encoder(uri)
