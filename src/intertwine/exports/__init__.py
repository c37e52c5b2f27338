"""A map in the forms in which other programs take it; each is proved equal to `LinearMap.apply`."""

from __future__ import annotations

from intertwine.exports.bridge import QueryBridge
from intertwine.exports.faiss import faiss_transform
from intertwine.exports.onnx import save_onnx
from intertwine.exports.sql import pgvector_sql
from intertwine.exports.torch import torch_linear

__all__ = ["QueryBridge", "faiss_transform", "pgvector_sql", "save_onnx", "torch_linear"]
