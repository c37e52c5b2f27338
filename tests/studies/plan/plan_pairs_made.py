"""Two made-up models over one cause, for tests of the plan."""

import numpy as np

from intertwine.features.feature_set import FeatureSet
from intertwine.studies.plan.pairs import Pairs


def models(n, *, seed=0, d_old=24, d_new=32, cause=12, noise=0.2, n_classes=6):
    """Return vectors of an old and a new model over the same items, and labels."""
    fixed, rng = np.random.default_rng(99), np.random.default_rng(seed)
    centres = fixed.standard_normal((n_classes, cause))
    layers = [fixed.standard_normal((cause, d)) / np.sqrt(cause) for d in (d_old, d_new)]
    labels = rng.integers(n_classes, size=n)
    items = 1.5 * centres[labels] + rng.standard_normal((n, cause))
    a, b = (
        np.tanh(items @ layer + 0.2) + noise * rng.standard_normal((n, layer.shape[1]))
        for layer in layers
    )
    return a, b, labels


def write_models(folder, write_folder, n, *, prefix="item", labels=True, **made):
    """Write both models' vectors as a feature set with ids; return its folder."""
    a, b, numbers = models(n, **made)
    ids = [f"{prefix}{row}" for row in range(n)]
    return write_folder(folder, {"old": a, "new": b}, labels=numbers if labels else None, ids=ids)


def read_pairs(folder, *, metric="cosine", rows=5000, **more):
    """Return the pairs of a folder as the study reads them."""
    return Pairs.of(FeatureSet.open(folder), "old", "new", metric=metric, rows=rows, **more)
