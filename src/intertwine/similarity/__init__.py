"""Similarity of spaces: moments in, one number out. One file a family, all pure functions."""

from intertwine.similarity.cka import linear_cka
from intertwine.similarity.predictivity import r_squared

__all__ = ["linear_cka", "r_squared"]
