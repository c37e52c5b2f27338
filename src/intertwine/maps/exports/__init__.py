"""A map in forms for other programs; tests show that each equals `LinearMap.apply`."""

from __future__ import annotations

from intertwine.maps.exports.bridge import QueryBridge
from intertwine.maps.exports.faiss import faiss_transform
from intertwine.maps.exports.onnx import save_onnx
from intertwine.maps.exports.sql import pgvector_sql
from intertwine.maps.exports.torch import torch_linear

__all__ = ["QueryBridge", "faiss_transform", "pgvector_sql", "save_onnx", "torch_linear"]
