"""Sums of products, and what adds blocks of rows to them: a processor's BLAS or a torch device."""

from __future__ import annotations

from intertwine.moments.accumulators.accumulator import Accumulator, open_accumulator
from intertwine.moments.accumulators.precisions import AUTO, DEFAULT_FAST_ERROR, Products

__all__ = ["AUTO", "DEFAULT_FAST_ERROR", "Accumulator", "Products", "open_accumulator"]
