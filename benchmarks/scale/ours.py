"""What this package takes: moments, maps, paths of λ, applied maps."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from intertwine.estimators import FitOptions, Fitter
from intertwine.features.feature_set import FeatureSet
from intertwine.parallel.threads import parallel_map
from intertwine.passes.moments.joint import joint_moments
from scale.limits import Gemm, best_gemm, read_all
from scale.process import Clock

ALPHAS = np.logspace(-1, 5, 20)


def moments_pass(folder: str, precision: str, repeat: int) -> dict[str, Any]:
    """Take joint moments from disk, each time between two plain products."""
    feature_set = FeatureSet.open(folder)
    dim = sum(space.dim for space in feature_set.spaces.values())
    operations = feature_set.n * dim * (dim + 1)
    gemm: Gemm = best_gemm("float64" if precision == "float64" else "float32")
    runs = []
    for _ in range(repeat):
        before = gemm.rate()
        start = time.perf_counter()
        joint_moments(feature_set, precision=precision).flush()
        seconds = time.perf_counter() - start
        limit = operations / ((before + gemm.rate()) / 2)
        start = time.perf_counter()
        read_all(sorted(Path(folder).glob("*.npy")))
        runs.append({"s": seconds, "limit_s": limit, "read_s": time.perf_counter() - start})
    return {
        "n": feature_set.n,
        "dim": dim,
        "runs": runs,
        "s": median(run["s"] for run in runs),
        "ratio": median(run["s"] / run["limit_s"] for run in runs),
    }


def maps(folder: str, spaces: list[str], precision: str, *, path: bool = False) -> dict[str, Any]:
    """Fit the maps of all ordered pairs, from disk; with `path`, 20 λ by GCV, one a target."""
    clock = Clock()
    clock.begin()
    moments = joint_moments(FeatureSet.open(folder), spaces, precision=precision)
    moments.flush()
    pass_s = clock.seconds()
    options = FitOptions(alpha="gcv-per-target", alphas=ALPHAS) if path else FitOptions(alpha=1.0)
    fitter = Fitter(options)

    def fit(source: str) -> int:
        return len(fitter.fit(moments, source, [a for a in spaces if a != source]))

    return {"maps": sum(parallel_map(fit, spaces)), "pass_s": pass_s, "s": clock.seconds()}


def memory(folder: str, precision: str) -> dict[str, Any]:
    """Take joint moments; how much memory that took is for the parent to say."""
    moments = joint_moments(FeatureSet.open(folder), precision=precision)
    return {"n": moments.n, "dim": moments.dim}
