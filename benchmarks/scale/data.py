"""Made-up feature sets: low rank, noise, ReLU and dead columns, as networks have them.

One folder a number of rows and a type. They are made once and kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

LATENT = 64
DEAD = 50  # every so many columns one is constant
CHUNK = 4096
TIMES = 16


def names_of(dims: list[int]) -> list[str]:
    """Return the names of spaces with these dimensions."""
    return [f"net{k}" for k in range(len(dims))]


def folder(root: str, dims: list[int], rows: int, dtype: str, times: int = 1) -> Path:
    """Return where the features of so many rows lie, `times` times over."""
    joint = "-".join(str(dim) for dim in dims)
    return Path(root) / f"{joint}-{rows}x{times}-{dtype}"


def make(root: str, dims: list[int], rows: int, dtype: str, times: int = 1) -> dict[str, Any]:
    """Make a feature set, unless it is there.

    Parameters
    ----------
    root
        Folder for all sets.
    dims
        Dimension of each space.
    rows
        Rows made.
    dtype
        `float16` or `float32`.
    times
        How often the rows are written one after another.

    Returns
    -------
    facts
        The folder and its bytes.
    """
    out = folder(root, dims, rows, dtype, times)
    stamp = out / "made.json"
    if not stamp.exists():
        out.mkdir(parents=True, exist_ok=True)
        _write(out, dims, rows, np.dtype(dtype), times)
        stamp.write_text(json.dumps({"rows": rows, "times": times}))
    return {"folder": str(out), "bytes": sum(file.stat().st_size for file in out.glob("*.npy"))}


def _write(out: Path, dims: list[int], rows: int, dtype: np.dtype[Any], times: int) -> None:
    files = {
        name: np.lib.format.open_memmap(
            out / f"{name}.npy", mode="w+", dtype=dtype, shape=(rows * times, dim)
        )
        for name, dim in zip(names_of(dims), dims, strict=True)
    }
    for start in range(0, rows, CHUNK):
        stop = min(rows, start + CHUNK)
        for name, features in block(dims, stop - start, start).items():
            for copy in range(times):
                files[name][copy * rows + start : copy * rows + stop] = features
    for file in files.values():
        file.flush()


def layers(dims: list[int]) -> list[tuple[Any, Any]]:
    """Return each space's layer, (LATENT, d), and shift, (d,): a steep spectrum, dead columns."""
    rng = np.random.default_rng(0)
    scale = (np.arange(1, LATENT + 1) ** -0.5)[:, None]
    found = []
    for dim in dims:
        layer = (scale * rng.standard_normal((LATENT, dim))).astype(np.float32)
        shift = rng.uniform(-1, 1, dim).astype(np.float32)
        layer[:, ::DEAD], shift[::DEAD] = 0, -100
        found.append((layer, shift))
    return found


def block(dims: list[int], rows: int, seed: int) -> dict[str, Any]:
    """Return some rows of every space, (rows, d) float32 by space."""
    rng = np.random.default_rng([1, seed])
    cause = rng.standard_normal((rows, LATENT), dtype=np.float32)
    made = {}
    for name, (layer, shift) in zip(names_of(dims), layers(dims), strict=True):
        own = rng.standard_normal((rows, layer.shape[1]), dtype=np.float32)
        own *= 0.5
        own += cause @ layer
        own += shift
        made[name] = np.maximum(own, 0, out=own)
    return made
