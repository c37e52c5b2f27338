"""Where a Keras model ends and its classifier begins, read off its graph of layers.

From the output backwards, over activations, pooling and layers that change nothing but shape, the
first fully connected layer or 1×1 convolution is the head. What it reads, averaged over positions
where it is applied at several, is the features. `head(features)` is compared with the model's own
logits before anything else is done with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.encoder import explains, mismatch
from intertwine.encoders.keras.weights import to_array
from intertwine.encoders.scores import leads_to
from intertwine.encoders.torch.head import SHOWN, Split
from intertwine.encoders.torch.watch import run_alone
from intertwine.encoders.torch.weights import EXTRA as TORCH_EXTRA
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.spaces import Head
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.encoders.uri import EncoderUri
    from intertwine.numerics.arrays import Array

# After logits, these turn them into scores and leave their meaning.
_SCORES = {"softmax": "Softmax", "log_softmax": "LogSoftmax", "sigmoid": "Sigmoid"}
_SHAPES = (
    "Dropout",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "AveragePooling2D",
    "Identity",
    "Reshape",
    "SpatialDropout2D",
)


@dataclass(frozen=True)
class _Call:
    """One use of a layer in a graph: what it reads and what it makes, symbolic."""

    layer: Any
    inputs: list[Any]
    output: Any


def split_model(keras: Any, model: Any, uri: EncoderUri, example: Array) -> Split:
    """Split a Keras model of one output at its head, or where the options `head` and `layer` name.

    It is tried on `example` (2, h, w, 3). An activation inside its last layer is taken out.
    Features are (n, d), unless the URI names a layer that makes another shape.
    """
    if len(model.outputs) != 1:
        raise InputError(f"{uri.where}: has {counted(len(model.outputs), 'output')}, expected one")
    layer = uri.options.get("layer")
    named = None if layer is None else _named(model, layer, uri)
    if uri.choice("head", ("auto", "none")) == "none":
        tensor = named.output if named else model.outputs[0]
        return Split(layer or "output", _pooled(keras, model, tensor, _axis(model)), None)
    if named is not None and not _is_linear(keras, named.layer):
        raise InputError(
            f"{uri.where}: layer {layer} is not fully connected nor a 1×1 convolution, so no head; "
            "give head=none to take what it puts out as features"
        )
    call, logits, scores = (
        _last_linear(keras, model, uri) if named is None else ((named, named.output, []))
    )
    own = _run(_forward(keras, model, model.outputs[0]), example) if scores else None
    # The model's own logits need it gone, and its scores are not read again.
    call.layer.activation = keras.activations.linear
    head = _head(call.layer)
    axis = -1 if isinstance(call.layer, keras.layers.Dense) else _axis(model)
    features = _pooled(keras, model, call.inputs[0], axis)
    logits_of = _pooled(keras, model, logits, axis) if named else _forward(keras, model, logits)
    found = _run(logits_of, example)
    if not explains(head, _run(features, example), found):
        raise _no_head(call.layer, uri)
    if own is not None and not leads_to(scores, found, own):
        raise mismatch(uri.where)
    return Split(call.layer.name, features, head)


def _call_of(tensor: Any) -> _Call:
    # Keras shows who made a symbolic tensor by no public name.
    history = tensor._keras_history  # noqa: SLF001
    node = history.operation._inbound_nodes[history.node_index]  # noqa: SLF001
    return _Call(history.operation, list(node.input_tensors), tensor)


def _named(model: Any, name: str, uri: EncoderUri) -> _Call:
    """Return the one use of the layer of a name, in a model's own graph."""
    waiting, seen = [model.outputs[0]], {}
    while waiting:
        tensor = waiting.pop()
        if id(tensor) not in seen:
            seen[id(tensor)] = _call_of(tensor)
            waiting += seen[id(tensor)].inputs
    calls = [call for call in seen.values() if call.layer.name == name]
    if len(calls) != 1:
        some = ", ".join(layer.name for layer in model.layers[-SHOWN:])
        raise InputError(
            f"{uri.where}: layer {name} runs {len(calls)} times on an image, expected once; "
            f"its last ones are {some}"
        )
    return calls[0]


def _last_linear(keras: Any, model: Any, uri: EncoderUri) -> tuple[_Call, Any, list[str]]:
    """Return the layer that makes the logits, these before any softmax, symbolic, and what follows."""
    logits, scored = model.outputs[0], list[str]()
    call, pooled = _call_of(logits), False
    while not _is_linear(keras, call.layer):
        kind = type(call.layer).__name__
        activation = "softmax" if kind == "Softmax" else _activation(call.layer)
        scores = activation in _SCORES and kind in {"Activation", "Softmax"} and not pooled
        plain = kind in _SHAPES or (kind == "Activation" and activation == "linear")
        if len(call.inputs) != 1 or not (scores or plain):
            raise _no_head(call.layer, uri)
        if scores:
            logits = call.inputs[0]
            scored.insert(0, _SCORES[activation])
        pooled = pooled or "Pooling" in kind
        call = _call_of(call.inputs[0])
    inside = _activation(call.layer)
    if inside != "linear" and (inside not in _SCORES or pooled):
        raise _no_head(call.layer, uri)
    # Inside the layer they come before all others, over its channels.
    return call, logits, [_SCORES[inside], *scored] if scored and inside in _SCORES else scored


def _activation(layer: Any) -> str:
    return str(getattr(getattr(layer, "activation", None), "__name__", ""))


def _is_linear(keras: Any, layer: Any) -> bool:
    """Return whether a layer is an affine map of channels: fully connected, or a 1×1."""
    if isinstance(layer, keras.layers.Conv2D):
        steps = (tuple(layer.kernel_size), tuple(layer.strides), layer.groups)
        return steps == ((1, 1), (1, 1), 1)
    return isinstance(layer, keras.layers.Dense)


def _no_head(layer: Any, uri: EncoderUri) -> InputError:
    return InputError(
        f"{uri.where}: has no linear head: its output comes from layer {layer.name} "
        f"({type(layer).__name__}), not straight from a fully connected layer or 1×1 convolution; "
        "give head=none to take the output as features, or layer=NAME"
    )


def _head(layer: Any) -> Head:
    kernel = to_array(layer.kernel)
    weight = np.ascontiguousarray(kernel.reshape(-1, kernel.shape[-1]).T)
    bias = np.zeros(len(weight), np.float32) if layer.bias is None else to_array(layer.bias)
    return Head(weight, bias)


def _axis(model: Any) -> int:
    """Return the axis of a model's channels, 1 or the last."""
    orders = {getattr(layer, "data_format", None) for layer in model.layers}
    return 1 if "channels_first" in orders else -1


def _forward(keras: Any, model: Any, tensor: Any) -> Callable[[Any], Any]:
    """Return the function from images to one tensor of a model's graph."""
    part = keras.Model(model.inputs[0], tensor)

    def run(batch: Any) -> Any:
        # Keras would move the batch to the device that it finds by itself.
        with keras.device(str(batch.device)):
            return part(batch, training=False)

    return run


def _pooled(keras: Any, model: Any, tensor: Any, axis: int) -> Callable[[Any], Any]:
    """Return the function from images to a tensor's mean over all but images and channels."""
    forward = _forward(keras, model, tensor)

    def run(batch: Any) -> Any:
        value = forward(batch)
        if value.ndim < 3:
            return value
        return value.movedim(axis, -1).flatten(1, -2).mean(1)

    return run


def _run(forward: Callable[[Any], Any], example: Array) -> Array:
    torch: Any = import_extra("torch", TORCH_EXTRA)
    batch = torch.from_numpy(example)
    return np.asarray(run_alone(lambda: forward(batch)).float().numpy())
