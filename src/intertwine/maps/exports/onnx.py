"""A map as an ONNX graph."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.maps.exports.bridge import float32_weights
from intertwine.storage.files import write_bytes

if TYPE_CHECKING:
    import os

    from intertwine.maps.linear_map import LinearMap

INPUT, OUTPUT = "vectors", "mapped"
# The oldest with the operators used here, so that old runtimes can load it.
OPSET, IR_VERSION = 13, 8


def save_onnx(linear_map: LinearMap, path: str | os.PathLike[str], *, unit: bool = False) -> None:
    """Write a map as an ONNX graph from `vectors`, (n, d_source), to `mapped`, (n, d_target), float32.

    Its metadata names both spaces, so that a program that loads it knows which vectors it expects.

    Parameters
    ----------
    linear_map
        The map.
    path
        File to write.
    unit
        Whether results are scaled to length 1.

    Raises
    ------
    InputError
        For weights beyond float32, and a disk that is full.
    MissingExtraError
        Where onnx is not installed.
    """
    onnx = import_extra("onnx", "onnx")
    helper = onnx.helper
    weight, bias = float32_weights(linear_map)
    mapped = "affine" if unit else OUTPUT
    gemm_input = "directions" if linear_map.unit_source else INPUT
    nodes = [helper.make_node("Gemm", [gemm_input, "weight", "bias"], [mapped], transB=1)]
    if linear_map.unit_source:
        nodes.insert(0, helper.make_node("LpNormalization", [INPUT], [gemm_input], axis=1, p=2))
    if unit:
        nodes.append(helper.make_node("LpNormalization", [mapped], [OUTPUT], axis=1, p=2))

    def rows_of(name: str, dim: int) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", dim])

    graph = helper.make_graph(
        nodes,
        linear_map.name,
        [rows_of(INPUT, linear_map.source.dim)],
        [rows_of(OUTPUT, linear_map.target.dim)],
        [
            onnx.numpy_helper.from_array(weight, "weight"),
            onnx.numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    facts = {"source": linear_map.source.to_json(), "target": linear_map.target.to_json()}
    helper.set_model_props(model, {name: json.dumps(fact) for name, fact in facts.items()})
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())
