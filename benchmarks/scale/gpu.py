"""The paper's whole problem on a GPU: eleven spaces, 1.28 million rows made on the device."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators import FitOptions, Fitter
from intertwine.moments.moments import Moments

DIMS = (1024, 1024, 1792, 2048, 2048, 2048, 1536, 1536, 4032, 4320, 4320)
ROWS = 1_281_167
CHUNK = 16_384
LATENT = 256
SQUARE = 8192


def whole_problem(rows: int = ROWS) -> dict[str, Any]:
    """Take the joint moments in `fast` and solve all 110 maps; say so where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        raise InputError("no CUDA device")
    spaces = {f"net{k}": dim for k, dim in enumerate(DIMS)}
    generator = torch.Generator("cuda").manual_seed(0)
    layers = {
        name: torch.randn((LATENT, dim), device="cuda", generator=generator) / LATENT**0.5
        for name, dim in spaces.items()
    }

    def made(n: int) -> dict[str, Any]:
        cause = torch.randn((n, LATENT), device="cuda", generator=generator)
        return {name: torch.relu(cause @ layer).half() for name, layer in layers.items()}

    rate = _rate(torch)
    moments = Moments(spaces, precision="fast", device="cuda")
    making, began = 0.0, time.perf_counter()
    for start in range(0, rows, CHUNK):
        chunk_began = time.perf_counter()
        chunk = made(min(CHUNK, rows - start))
        torch.cuda.synchronize()
        making += time.perf_counter() - chunk_began
        moments.update(chunk)
    moments.flush()
    torch.cuda.synchronize()
    pass_s = time.perf_counter() - began - making
    began, maps = time.perf_counter(), 0
    fitter = Fitter(FitOptions(alpha=1.0))
    for source in spaces:
        maps += len(fitter.fit(moments, source, [name for name in spaces if name != source]))
    dim = sum(DIMS)
    return {
        "device": torch.cuda.get_device_name(),
        "rows": rows,
        "dim": dim,
        "gemm_tflops": rate / 1e12,
        "pass_s": pass_s,
        "share_of_gemm": rows * dim * (dim + 1) / pass_s / rate,
        "maps": maps,
        "solve_s": time.perf_counter() - began,
        "error": _error(made(2 * CHUNK), spaces),
    }


def _rate(torch: Any) -> float:
    """Return the float16 operations a second of a plain product."""
    a = torch.randn((SQUARE, SQUARE), device="cuda").half()
    times = []
    for _ in range(10):
        torch.cuda.synchronize()
        began = time.perf_counter()
        _ = a @ a
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return 2 * SQUARE**3 / min(times)


def _error(rows: dict[str, Any], spaces: dict[str, int]) -> float:
    """Return the largest relative error of a map of `fast` against `float64` on some rows."""
    names = list(spaces)[:3]
    found = []
    for precision in ("float64", "fast"):
        moments = Moments({a: spaces[a] for a in names}, precision=precision, device="cuda")
        moments.update({name: rows[name] for name in names})
        maps = Fitter(FitOptions(alpha=1.0)).fit(moments, names[0], names[1:])
        found.append(np.vstack([maps[name].weight for name in names[1:]]))
    return float(np.linalg.norm(found[1] - found[0]) / np.linalg.norm(found[0]))
