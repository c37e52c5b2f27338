"""What this machine is."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("intertwine", "numpy", "scipy", "torch", "scikit-learn", "himalaya")


def facts() -> dict[str, Any]:
    """Return processor, cores, matrix units, BLAS and versions."""
    import numpy as np
    from threadpoolctl import threadpool_info

    from intertwine.parallel.threads import available_cores

    np.ones((2, 2)) @ np.ones((2, 2))
    blas = [info for info in threadpool_info() if info["user_api"] == "blas"]
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "memory_gib": _memory_gib(),
        "matrix_units": _units(),
        "blas": [f"{x['internal_api']} {x['version']} {x.get('architecture')}" for x in blas],
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _units() -> list[str]:
    try:
        from intertwine.moments.accumulators.precisions import matrix_units

        return matrix_units()
    except ImportError:
        return []


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    found = _line(Path("/proc/cpuinfo"), "model name")
    return found or platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    found = _line(Path("/proc/meminfo"), "MemTotal")
    return round(int(found.split()[0]) / 2**20, 1) if found else None


def _line(path: Path, key: str) -> str:
    if not path.exists():
        return ""
    lines = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return next((value.strip() for name, value in lines if name.strip() == key), "")
