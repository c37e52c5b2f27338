"""Every moment measure of every pair of spaces at a million rows, in one pass.

Run `python benchmarks/similarity.py`; it writes `benchmarks/results/similarity.json`. Rows are made
in chunks and never kept. Each time stands beside the machine's own limit, measured in the same run:
the joint products as plain float32 matrix products. At a size that still allows it, the same scores
are computed as they usually are: CKA from n × n kernels, CCA from thin QR factorisations.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.moments import Moments
from intertwine.passes.moments.groups import MomentGroups
from intertwine.similarity.moment_measures import SpectraOf, pair_scores
from intertwine.studies.similarity.study import similarity_of_moments

LATENT = 96
RESULTS = Path(__file__).parent / "results" / "similarity.json"


class Source:
    """Spaces with one latent cause: each a ReLU layer with a steep spectrum and its own noise."""

    def __init__(self, spaces: int, dim: int) -> None:
        rng = np.random.default_rng(0)
        scale = np.arange(1, LATENT + 1) ** -0.5
        self.layers = {
            f"space{i}": (
                (scale[:, None] * rng.standard_normal((LATENT, dim))).astype(np.float32),
                rng.uniform(-1, 1, dim).astype(np.float32),
            )
            for i in range(spaces)
        }
        self.dim = dim

    def rows(self, n: int, seed: int) -> dict[str, np.ndarray]:
        """Return n fresh rows of every space, float32."""
        rng = np.random.default_rng([1, seed])
        cause = rng.standard_normal((n, LATENT), dtype=np.float32)
        made = {}
        for name, (layer, shift) in self.layers.items():
            own = rng.standard_normal((n, self.dim), dtype=np.float32)
            made[name] = np.maximum(cause @ layer + shift + 0.5 * own, 0)
        return made


def gemm_rate(dtype: type) -> float:
    """Return the best floating-point operations a second of a plain matrix product."""
    a = np.ones((BLOCK_ROWS, 2048), dtype)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        a.T @ a
        best = max(best, 2 * BLOCK_ROWS * 2048**2 / (time.perf_counter() - start))
    return best


def one_pass(source: Source, n: int, n_groups: int, folder: Path) -> tuple[MomentGroups, dict]:
    """Return moments of all rows and of every group, and the seconds they took."""
    dims = dict.fromkeys(source.layers, source.dim)
    made = added = 0.0
    origin = {
        a: x.mean(axis=0, dtype=np.float64) for a, x in source.rows(BLOCK_ROWS, 10**9).items()
    }
    groups = MomentGroups(Moments(dims, precision="float32", origin=origin))
    for group in range(n_groups):
        part = Moments(dims, precision="float32", origin=origin)
        left = n * (group + 1) // n_groups - n * group // n_groups
        for chunk in range(-(-left // BLOCK_ROWS)):
            start = time.perf_counter()
            rows = source.rows(min(BLOCK_ROWS, left - chunk * BLOCK_ROWS), group * 10**6 + chunk)
            middle = time.perf_counter()
            part.update(rows)
            made, added = made + middle - start, added + time.perf_counter() - middle
        start = time.perf_counter()
        groups.add(part, path=folder / f"group-{group:03d}.safetensors")
        added += time.perf_counter() - start
        print(f"group {group + 1} of {n_groups}: {added:.0f} s of products", flush=True)
    return groups, {"making_rows_s": made, "pass_s": added}


def usual_way(source: Source, n: int) -> dict[str, float]:
    """Time one pair at a size where n × n kernels fit, in float64 as the definitions stand."""
    rows = source.rows(n, 7)
    x, y = (rows[a].astype(np.float64) - rows[a].mean(axis=0) for a in list(rows)[:2])
    start = time.perf_counter()
    k, m = x @ x.T, y @ y.T
    cka = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    kernels = time.perf_counter() - start
    del k, m
    start = time.perf_counter()
    q, p = np.linalg.qr(x)[0], np.linalg.qr(y)[0]
    cca = np.linalg.svd(q.T @ p, compute_uv=False).mean()
    factors = time.perf_counter() - start
    start = time.perf_counter()
    moments = Moments({"a": source.dim, "b": source.dim}, precision="float64")
    moments.update(dict(zip("ab", (x, y), strict=True)))
    scores = pair_scores(moments, "a", "b", SpectraOf.of(moments, ["a", "b"])).scores
    ours = time.perf_counter() - start
    assert abs(scores["cka"] - cka) < 1e-9  # noqa: S101
    assert abs(scores["cca_mean"] - cca) < 1e-9  # noqa: S101
    return {"rows": n, "kernels_s": kernels, "thin_qr_s": factors, "ours_all_measures_s": ours}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rows", 10**6), ("dim", 1024), ("spaces", 6), ("groups", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    source = Source(given.spaces, given.dim)
    rate = gemm_rate(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        groups, times = one_pass(source, given.rows, given.groups, Path(folder))
        stages: dict[str, float] = {}
        clock = time.perf_counter()

        def say(what: str, done: int, total: int) -> None:
            nonlocal clock
            now = time.perf_counter()
            stages[f"{what} {done}" if "all rows" in what else what] = (
                stages.get(what, 0.0) + now - clock
            )
            clock = now
            print(f"{what}: {done} of {total}", flush=True)

        result = similarity_of_moments(groups, progress=say).to_json()
    joint = given.spaces * given.dim
    limit = given.rows * joint * (joint + 1) / rate
    scores, nulls, resampled = (
        stages["similarity of all rows 1"],
        stages["similarity of all rows 2"],
        stages["without one row group"],
    )
    found = {
        "rows": given.rows,
        "spaces": given.spaces,
        "dim": given.dim,
        "pairs": given.spaces * (given.spaces - 1) // 2,
        "gemm_float32_gflops": rate / 1e9,
        "products_as_plain_gemm_s": limit,
        **times,
        "scores_s": scores,
        "nulls_s": nulls,
        "jackknife_and_r2_s": resampled,
        "ratio_pass_to_gemm": times["pass_s"] / limit,
        "ratio_scores_to_pass": scores / times["pass_s"],
        "ratio_scores_and_nulls_to_pass": (scores + nulls) / times["pass_s"],
        "ratio_everything_to_pass": (scores + nulls + resampled) / times["pass_s"],
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "joint_moments_mib": sum(8 * x.size for x in groups.total.sums.second.values()) / 2**20,
        "usual_way": usual_way(source, 12_000),
        "first_pair": {key: value for key, value in result["pairs"][1].items() if key != "reasons"},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
