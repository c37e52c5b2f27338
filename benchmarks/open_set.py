"""The open-set study over ten folds: maps by subtraction against maps fitted from scratch.

Run `python benchmarks/open_set.py`; it writes `benchmarks/results/open_set.json`. Made-up unit
features stand for six networks on 7,700 images. Ours and the peer, scikit-learn's Ridge fitted once a
fold and a pair, do the same work on the same rows in one run and must agree; both stand beside the
machine's limit: the products that mapping the images takes, as plain matrix products.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge

from intertwine.estimators import FitOptions
from intertwine.metrics.fold_accuracy import fold_accuracy
from intertwine.spaces import Space
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.fold_maps import FoldMaps
from intertwine.studies.open_set.fold_moments import FoldMoments
from intertwine.studies.open_set.trials import directions, mapped_trials

RESULTS = Path(__file__).parent / "results" / "open_set.json"
FOLDS, PER_KIND = 10, 300
OPTIONS = FitOptions(intercept="free", alpha=1.0)


def made_up(networks: int, dim: int, images: int) -> VerificationSet:
    """Return features of people with two images each, and pairs of images in ten folds."""
    rng = np.random.default_rng(0)
    people = images // 2
    cause = rng.standard_normal((people, 64))[np.repeat(np.arange(people), 2)]
    cause = cause + 0.5 * rng.standard_normal(cause.shape)
    features = {}
    for k in range(networks):
        own = cause @ rng.standard_normal((64, dim)) + 2 * rng.standard_normal((len(cause), dim))
        features[f"net{k}"] = directions(own)
    fold = np.repeat(np.arange(FOLDS), 2 * PER_KIND)
    same = np.tile(np.arange(2 * PER_KIND) < PER_KIND, FOLDS)
    share = people // FOLDS
    first = fold * share + rng.integers(share, size=len(fold))
    other = fold * share + (first - fold * share + rng.integers(1, share, len(fold))) % share
    return VerificationSet(
        features,
        {name: Space(name, dim) for name in features},
        2 * first,
        np.where(same, 2 * first + 1, 2 * other),
        same,
        fold,
        np.repeat(np.arange(people), 2),
    )


def from_scratch(data: VerificationSet, source: str, target: str) -> float:
    """Return the accuracy of one ordered pair, every fold's map fitted by scikit-learn."""
    x, y = data.features[source], data.features[target]
    barred = data.in_folds()[data.person]
    table = np.empty((data.n_folds, len(data.fold)))
    for k in range(data.n_folds):
        fitted = Ridge(alpha=1.0).fit(x[~barred[:, k]], y[~barred[:, k]])
        mapped = directions(fitted.predict(x))
        table[k] = (mapped[data.first] * y[data.second]).sum(axis=1)
    return fold_accuracy(table, data.same, data.fold).mean


def gemm_rate() -> float:
    """Return the best floating-point operations a second of a plain float64 matrix product."""
    a, best = np.ones((4096, 2048)), 0.0
    for _ in range(5):
        start = time.perf_counter()
        a.T @ a
        best = max(best, 2 * 4096 * 2048**2 / (time.perf_counter() - start))
    return best


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("networks", 6), ("dim", 512), ("images", 7700)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    data = made_up(given.networks, given.dim, given.images)
    n_pairs = given.networks * (given.networks - 1)
    mapped_images = len(np.unique(data.first))
    limit = 2 * FOLDS * n_pairs * mapped_images * given.dim**2 / gemm_rate()
    start = time.perf_counter()
    rows = FoldMoments.of(data, "images")
    trials = mapped_trials(data, FoldMaps(rows, OPTIONS))
    ours = time.perf_counter() - start
    start = time.perf_counter()
    peer = from_scratch(data, "net0", "net1")
    theirs = (time.perf_counter() - start) * n_pairs
    difference = abs(peer - trials["net0", "net1"].accuracy.mean)
    assert difference < 1e-9  # noqa: S101
    found = {
        "networks": given.networks,
        "dim": given.dim,
        "images": given.images,
        "ordered_pairs": n_pairs,
        "folds": FOLDS,
        "ours_s": ours,
        "scikit_learn_s_one_pair_times_pairs": theirs,
        "mapping_as_plain_gemm_s": limit,
        "ratio_scikit_learn_to_ours": theirs / ours,
        "ratio_ours_to_gemm": ours / limit,
        "accuracy_difference": difference,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
