"""What this machine can do at most: plain matrix products, plain reading, plain copying."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from intertwine.parallel.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable

SQUARES = (1024, 2048, 3072, 4096, 6144)
BLOCK = (1536, 4096, 1536)  # a tile of the pass: rows, inner dimension, columns
BUFFER = 1 << 23

Shape = tuple[int, int, int]


def best_of(run: Callable[[], object], seconds: float) -> float:
    """Return the shortest time of several runs, at least two, that take so many seconds in all."""
    run()
    times: list[float] = []
    while len(times) < 2 or sum(times) < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


class Gemm:
    """A plain matrix product of one shape.

    Parameters
    ----------
    shape
        Rows, inner dimension, columns.
    kind
        `float32` or `float64` by NumPy; `bfloat16` by torch, in float32 products that may use
        bfloat16 inside.
    parallel_map
        One product a core with one thread each, instead of one product with all threads.
    """

    def __init__(self, shape: Shape, kind: str, *, parallel_map: bool = False) -> None:
        self.shape, self.kind, self.parallel_map = shape, kind, parallel_map
        self.copies = available_cores() if parallel_map else 1
        dtype = "float64" if kind == "float64" else "float32"
        rng = np.random.default_rng(0)
        m, k, n = shape
        self.inputs = [
            (
                rng.random((k, m), np.float32).astype(dtype),
                rng.random((k, n), np.float32).astype(dtype),
            )
            for _ in range(self.copies)
        ]

    def rate(self, seconds: float = 0.4) -> float:
        """Return the best floating-point operations a second."""
        run = self._torch if self.kind == "bfloat16" else self._numpy
        m, k, n = self.shape
        return self.copies * 2 * m * k * n / run(seconds)

    def _numpy(self, seconds: float) -> float:
        if not self.parallel_map:
            (a, b), out = self.inputs[0], np.empty(self.shape[::2], self.inputs[0][0].dtype)
            return best_of(lambda: np.matmul(a.T, b, out=out), seconds)
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(self.copies) as pool:
            return best_of(lambda: list(pool.map(lambda ab: ab[0].T @ ab[1], self.inputs)), seconds)

    def _torch(self, seconds: float) -> float:
        import torch

        from intertwine.moments.accumulators.halves import matrix_units

        a, b = (torch.from_numpy(array) for array in self.inputs[0])
        with matrix_units():
            return best_of(lambda: a.T @ b, seconds)

    def facts(self) -> dict[str, Any]:
        """Return what was multiplied, JSON-ready."""
        return {"shape": list(self.shape), "kind": self.kind, "side_by_side": self.parallel_map}


def best_gemm(kind: str, seconds: float = 0.4) -> Gemm:
    """Return the product that is quickest of a few shapes, to be measured again later."""
    shapes: list[Shape] = [BLOCK, *((size, size, size) for size in (2048, 3072, 4096))]
    found = [Gemm(shape, kind) for shape in shapes]
    if kind != "bfloat16":
        found.append(Gemm(BLOCK, kind, parallel_map=True))
    return max(found, key=lambda gemm: gemm.rate(seconds))


def limits(folder: str, quick: bool) -> dict[str, Any]:
    """Return rates of products by kind and shape, and of reading and copying.

    Parameters
    ----------
    folder
        A feature set, whose files are read.
    quick
        Try only the smallest shapes.
    """
    products = []
    for kind in ("float32", "float64", "bfloat16"):
        sizes = SQUARES[:2] if quick else SQUARES[: 4 if kind == "float64" else 5]
        shapes: list[Shape] = [BLOCK, *((size, size, size) for size in sizes)]
        gemms = [Gemm(shape, kind) for shape in shapes]
        if kind != "bfloat16":
            gemms.append(Gemm(BLOCK, kind, parallel_map=True))
        products += [
            {**gemm.facts(), "gflops": gemm.rate(0.1 if quick else 0.6) / 1e9} for gemm in gemms
        ]
    best = {
        kind: max(entry["gflops"] for entry in products if entry["kind"] == kind)
        for kind in ("float32", "float64", "bfloat16")
    }
    return {"products": products, "best_gflops": best, **_moving(Path(folder))}


def _moving(folder: Path) -> dict[str, float]:
    """Return bytes a second of reading cached files, of copying one, and of copying memory."""
    files = sorted(folder.glob("*.npy"))
    read_all(files)
    size = sum(file.stat().st_size for file in files)
    reading = best_of(lambda: read_all(files), 0.5)
    one, copy = files[0], folder / "copy.tmp"
    copying = best_of(lambda: _copy(one, copy), 0.5)
    copy.unlink()
    a = np.ones(1 << 27, np.uint8)
    b = np.empty_like(a)
    memory = best_of(lambda: np.copyto(b, a), 0.3)
    return {
        "read_gbps": size / reading / 1e9,
        "copy_file_gbps": one.stat().st_size / copying / 1e9,
        "copy_memory_gbps": a.nbytes / memory / 1e9,
    }


def read_all(files: list[Path]) -> None:
    """Read files from beginning to end into one buffer."""
    buffer = bytearray(BUFFER)
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _copy(one: Path, other: Path) -> None:
    buffer = memoryview(bytearray(BUFFER))
    with one.open("rb", buffering=0) as source, other.open("wb", buffering=0) as sink:
        while got := source.readinto(buffer):
            sink.write(buffer[:got])
