"""What every encoder is, whatever ecosystem it came from."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from intertwine.encoders.encoder import Encoder, explains, probe_dim
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


def test_fingerprint():
    """It names what made the features; a face's crop changes it, its absence changes nothing."""

    def fingerprint(**options):
        preprocessing = Preprocessing((2, 2), **options)
        return Encoder(
            "a", "test:", 3, preprocessing, None, "00", "out", 0, run=lambda batch: batch
        ).fingerprint

    facts = [
        "00",
        {
            "size": [2, 2], "resize": "squash", "shorter": None, "interpolation": "bilinear",
            "channels": "rgb", "mean": [0.0] * 3, "std": [1.0] * 3, "scale": 1.0,
            "layout": "nhwc", "dtype": "float32",
        },
        "out",
    ]  # fmt: skip
    want = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    assert fingerprint() == fingerprint(face=None) == want
    assert len({want, fingerprint(face="box:1"), fingerprint(face="arcface")}) == 3


def test_probe_dim():
    """The features of one image must be one vector, and the one that the head reads."""
    assert probe_dim(np.zeros((1, 3)), where="net", head=Head(np.zeros((2, 3)))) == 3
    with pytest.raises(InputError, match=r"net: features have shape \(1, 3, 2, 2\)"):
        probe_dim(np.zeros((1, 3, 2, 2)), where="net", head=None)
    with pytest.raises(InputError, match="features have dimension 4, but the head reads 3"):
        probe_dim(np.zeros((1, 4)), where="net", head=Head(np.zeros((2, 3))))


def test_explains():
    """A head explains logits that it makes of the features, and none of another shape, or NaN."""
    rng = np.random.default_rng(0)
    head, features = Head(rng.standard_normal((4, 6)), rng.standard_normal(4)), np.ones((3, 6))
    own = features @ head.weight.T + head.bias
    assert explains(head, features, own.reshape(3, 4, 1, 1))
    assert not explains(head, features, own + 2e-4 * np.abs(own).max())
    assert not explains(head, features, np.where(own == own[0, 0], np.nan, own))
    assert not explains(head, features[:, :5], own)
    assert not explains(head, features, own[:, :3])
