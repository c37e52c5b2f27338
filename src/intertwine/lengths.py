"""Vectors of length 1: whether rows are such, and rows scaled to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from intertwine.arrays import Array

# Rows as close to length 1 as this are taken to have been scaled to it.
TOLERANCE = 1e-3


def is_unit(rows: Array) -> bool:
    """Return whether every row, (n, d), has length 1, up to 1e-3."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    return bool(np.abs(lengths - 1).max(initial=0) <= TOLERANCE)


def unit(rows: Array) -> Array:
    """Return rows, (n, d), scaled to length 1; a row of length zero stays as it is.

    `intertwine.arrays.unit_rows` is for features that are to be checked: it refuses such a row.
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))
