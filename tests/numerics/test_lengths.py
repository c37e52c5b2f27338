"""Vectors of length 1."""

import numpy as np

from intertwine.numerics.linalg import is_unit, unit

RNG = np.random.default_rng(0)


def test_unit_vectors_are_recognised():
    """Rows scaled to length 1 are told from others, float16's rounding notwithstanding."""
    rows = RNG.standard_normal((60, 7))
    scaled = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert is_unit(scaled)
    assert is_unit(scaled.astype(np.float16).astype(np.float64))
    assert not is_unit(rows)


def test_rows_are_scaled_and_one_of_length_zero_stays():
    """Directions are kept, types too; nothing is divided by 0."""
    rows = RNG.standard_normal((5, 3)).astype(np.float32)
    rows[2] = 0
    found = unit(rows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 0, 1, 1], rtol=1e-6)
    np.testing.assert_allclose((found * rows).sum(axis=1), np.linalg.norm(rows, axis=1), rtol=1e-6)
