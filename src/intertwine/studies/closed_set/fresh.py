"""A space of fresh random features behind a fixed full-rank head.

It knows nothing of its input, yet the analytic map into it keeps any source's accuracy exactly. It
shows that accuracy after the analytic map is no evidence of similarity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.spaces import Head, Space

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

NAME = "fresh-random-features"


def fresh_space(n_classes: int) -> Space:
    """Return the space; its dimension is K, the least that a full-rank head allows."""
    return Space(NAME, n_classes)


def fresh_head(classes: Array, seed: int = 0) -> Head:
    """Return a Gaussian (K, K) head, of full rank with probability one."""
    rng = np.random.default_rng([seed, 1])
    k = len(classes)
    return Head(rng.standard_normal((k, k)), np.zeros(k), classes)


def fresh_features(hashes: Array, dim: int, seed: int = 0) -> Array:
    """Return standard Gaussian features drawn afresh for each row, (n, dim) float32.

    `hashes` are (n,) uint64: a row's features depend on its id alone, not on its chunk.
    """
    features = np.empty((len(hashes), dim), np.float32)
    for row, value in zip(features, hashes.tolist(), strict=True):
        generator = np.random.Generator(np.random.Philox(key=[value, seed]))
        generator.standard_normal(out=row, dtype=np.float32)
    return features


def extra_features(hashes: Array, *, dim: int) -> dict[str, Array]:
    """Return the space's features of some rows, by name, besides those that the set holds."""
    return {NAME: fresh_features(hashes, dim)}
