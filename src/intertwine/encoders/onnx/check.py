"""Whether the head of an ONNX network makes what the whole file makes, on two noise images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.encoder import explains, mismatch, same_output
from intertwine.encoders.scores import SCORES
from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.encoders.onnx.graph import Graph, LinearLayer
    from intertwine.encoders.preprocessing import Preprocessing
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Head


def check_head(
    graph: Graph,
    layer: LinearLayer,
    head: Head,
    features: Callable[[Array], Array],
    whole: Callable[[Array], list[Array]],
    preprocessing: Preprocessing,
) -> None:
    """Compare a head with the network's own logits, and these with its output.

    Parameters
    ----------
    graph
        The network.
    layer, head
        The layer and what was read of it.
    features
        From a batch to its features.
    whole
        From a batch to the layer's logits and the network's output, once where they are one.
    preprocessing
        What makes its input.

    Raises
    ------
    InputError
        When they differ by more than rounding.
    """
    batch = preprocessing.apply(preprocessing.noise(2))
    found = whole(batch)
    logits, output = found[0], found[-1]
    if logits.ndim == 4 and layer.pooled:
        logits = logits.mean(axis=(2, 3))
    own = logits.reshape(len(logits), -1)
    if not np.isfinite(own).all():
        raise InputError(
            f"{graph.where}: makes logits of noise images that are not finite; give the mean=, std= "
            "and scale= that it was trained with"
        )
    if not explains(head, features(batch), own):
        raise mismatch(graph.where)
    # Where the layer is named the output may be anything made of it.
    if layer.after and not _leads_to(graph, layer, own, output.reshape(len(output), -1)):
        raise mismatch(graph.where)


def _leads_to(graph: Graph, layer: LinearLayer, own: Array, output: Array) -> bool:
    """Return whether what stands after logits makes the output of them: scores and rounding."""
    values, slack, dtype = own.astype(np.float64), 0.0, output.dtype
    for node in layer.after:
        if node.op_type in SCORES:
            values = SCORES[node.op_type](values)
        elif node.op_type == "QuantizeLinear":
            rounding = _rounding(graph, node)
            if rounding is None:
                # Rounded in a way that is not followed here, as with a step a channel.
                return True
            values, step = rounding(values)
            slack += step
            output = _as_reals(graph, node, output)
    if dtype.kind in "iu" and output.dtype.kind in "iu":
        return False
    return same_output(values, output, slack=slack)


def _rounding(graph: Graph, node: Any) -> Callable[[Array], tuple[Array, float]] | None:
    """Return what QuantizeLinear and the reading of its values do: the values, and their step."""
    scale, zero, limits = _steps(graph, node)
    if scale is None or scale.size != 1:
        return None
    step = float(scale.reshape(-1)[0])

    def rounded(values: Array) -> tuple[Array, float]:
        stored = np.clip(np.rint(values / step) + zero, limits.min, limits.max)
        return (stored - zero) * step, step

    return rounded


def _steps(graph: Graph, node: Any) -> tuple[Array | None, float, Any]:
    """Return the scale of a QuantizeLinear, its zero, and the limits of its integers."""
    scale = graph.constant(node.input[1])
    zero = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    zero = np.zeros(1, np.uint8) if zero is None else zero
    if scale is None or zero.size != 1 or zero.dtype.kind not in "iu":
        return None, 0.0, None
    return scale, float(zero.reshape(-1)[0]), np.iinfo(zero.dtype)


def _as_reals(graph: Graph, node: Any, output: Array) -> Array:
    """Return an output of integers as the reals they stand for."""
    scale, zero, _ = _steps(graph, node)
    if output.dtype.kind not in "iu" or scale is None:
        return output
    return np.asarray((output.astype(np.float64) - zero) * scale.reshape(-1)[0])
