"""A map applied file to file, beside a plain product of that size and a plain copy of those bytes."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from intertwine.maps.linear_map import LinearMap
from intertwine.passes.apply import apply_file
from intertwine.spaces import Space

CHUNK = 8192
BUFFER = 1 << 23


def applying(root: str, rows: int, dims: list[int], repeat: int) -> dict[str, Any]:
    """Measure, in turn, a copy of the output's bytes, a product and an applied map."""
    folder = Path(root)
    source, output = folder / "apply-in.npy", folder / "apply-out.npy"
    d_in, d_out = dims
    rng = np.random.default_rng(0)
    if not source.exists() or np.load(source, mmap_mode="r").shape != (rows, d_in):
        made = np.lib.format.open_memmap(source, "w+", np.float32, (rows, d_in))
        for start in range(0, rows, CHUNK):
            part = made[start : start + CHUNK]
            part[:] = rng.standard_normal(part.shape, np.float32)
        made.flush()
    weight = rng.standard_normal((d_out, d_in))
    linear_map = LinearMap(weight, np.zeros(d_out), Space("a", d_in), Space("b", d_out), "made up")
    linear_map.save(folder / "map.safetensors")
    runs = []
    for _ in range(repeat):
        copy_s = _copied(source, output, rows * d_out * 4)
        gemm_s = _multiplied(linear_map, rows)
        output.unlink(missing_ok=True)
        start = time.perf_counter()
        apply_file(folder / "map.safetensors", source, output, force=True)
        runs.append({"s": time.perf_counter() - start, "copy_s": copy_s, "gemm_s": gemm_s})
        output.unlink()
    return {
        "rows": rows,
        "dims": dims,
        "runs": runs,
        "s": median(run["s"] for run in runs),
        "ratio": median(run["s"] / max(run["copy_s"], run["gemm_s"]) for run in runs),
    }


def _copied(source: Path, output: Path, size: int) -> float:
    """Return the seconds that reading the input and writing as many bytes as the output takes."""
    import os

    buffer = memoryview(bytearray(BUFFER))
    start, written = time.perf_counter(), 0
    with source.open("rb", buffering=0) as one, output.open("wb", buffering=0) as other:
        while one.readinto(buffer):
            written += other.write(buffer)
        while written < size:
            written += other.write(buffer)
        os.fsync(other.fileno())
    seconds = time.perf_counter() - start
    output.unlink()
    return seconds


def _multiplied(linear_map: LinearMap, rows: int) -> float:
    """Return the seconds of the product alone, on all threads, from a sample of its rows."""
    weight = np.ascontiguousarray(linear_map.weight.T, np.float32)
    block = np.random.default_rng(0).standard_normal((CHUNK, len(weight)), np.float32)
    out = np.empty((CHUNK, weight.shape[1]), np.float32)
    np.matmul(block, weight, out=out)
    start = time.perf_counter()
    count = max(1, rows // CHUNK // 4)
    for _ in range(count):
        np.matmul(block, weight, out=out)
    return (time.perf_counter() - start) * rows / (count * CHUNK)
