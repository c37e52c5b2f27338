"""Rows of three spaces, and their sums by plain loops."""

from __future__ import annotations

import numpy as np
from tests.helpers import assert_close

from intertwine.moments.accumulators.sums import Sums

DIMS = {"a": 5, "b": 3, "c": 1}
_RNG = np.random.default_rng(0)
ROWS = {name: _RNG.standard_normal((40, d)) + _RNG.uniform(-3, 3, d) for name, d in DIMS.items()}


def zeros(rows):
    """Return the sums over no rows of the same spaces, and the origin zero."""
    dims = {name: array.shape[1] for name, array in rows.items()}
    return Sums.zeros(dims), {name: np.zeros(d) for name, d in dims.items()}


def add(accumulator, rows) -> None:
    """Add rows as one block."""
    accumulator.write(rows)
    accumulator.close()


def assert_equals_naive(sums: Sums, rows, tolerance: float = 1e-13) -> None:
    """Check every sum against plain loops over rows."""
    names = list(rows)
    n = len(rows[names[0]])
    norms = np.array([[row @ row for row in rows[name]] for name in names])
    assert (sums.n, list(sums.names)) == (n, names)
    assert_close(sums.norm_first, sum(norms.T), tolerance)
    assert_close(sums.norm_second, sum(np.outer(q, q) for q in norms.T), tolerance)
    for a in names:
        assert_close(sums.first[a], sum(rows[a]), tolerance)
        cross = sum(np.outer(norms[:, i], rows[a][i]) for i in range(n))
        assert_close(sums.norm_cross[a], cross, tolerance)
        assert_close(sums.diagonal(a), sum(rows[a] ** 2), tolerance)
        for b in names:
            naive = sum(np.outer(x, y) for x, y in zip(rows[a], rows[b], strict=True))
            assert_close(sums.pair(a, b), naive, tolerance)
