"""Where a torch network ends and its classifier begins, found by watching it run.

Two images of noise are run through the network while every fully connected layer and 1×1
convolution is watched. The last one whose output is the network's own output is the head: what it
reads, averaged over positions where it is applied at several, is the features. Where the output is
the mean of several such layers, as in networks with one head a branch, their inputs side by side
are the features, and the head does the same. `head(features)` is compared with the network's own
output before anything else is done with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.encoder import explains
from intertwine.encoders.torch.watch import RunUntil, is_linear, over_positions, watch
from intertwine.encoders.torch.weights import EXTRA
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.spaces import Head

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intertwine.encoders.torch.watch import Ran
    from intertwine.encoders.uri import EncoderUri
    from intertwine.numerics.arrays import Array

POOLS = ("none", "mean", "first")
# Names of layers that an error lists.
SHOWN = 12


@dataclass(frozen=True)
class Split:
    """A network up to its features, and what comes after them."""

    # Of the layer or layers it is split at.
    name: str
    # From the network's input to its features, tensors both.
    forward: Callable[[Any], Any]
    head: Head | None


def split_network(
    module: Any, uri: EncoderUri, example: Any, *, call: Callable[[Any, Any], Any] | None = None
) -> Split:
    """Split a torch network at its head, or where the options `head`, `layer` and `pool` ask.

    The network is in eval mode and is tried on `example` (2, 3, h, w). `call` makes the output, one
    tensor, of the network and an input. Features are (n, d), unless the URI names a layer that puts
    out another shape.
    """
    call = call or _plain_call
    layer, pool = uri.options.get("layer"), uri.choice("pool", POOLS)
    if uri.choice("head", ("auto", "none")) == "none":
        if layer is None:
            return Split("output", lambda batch: _pooled(call(module, batch), pool, uri), None)
        until = RunUntil(module, [_named(module, layer, uri)], call, inputs=False)
        return Split(layer, lambda batch: _pooled(until(batch)[0], pool, uri), None)
    if pool != "none":
        raise InputError(
            f"{uri.where}: got pool={pool}, but what its head reads is taken as features; "
            "give head=none too, or leave pool out"
        )
    if layer is None:
        names, head = _find_head(module, uri, example, call)
    else:
        names, head = _asked_head(module, layer, uri, example, call)
    layers = [module.get_submodule(name) for name in names]
    until = RunUntil(module, layers, call, inputs=True)
    return Split("+".join(names), lambda batch: _side_by_side(layers, until(batch)), head)


def _plain_call(module: Any, batch: Any) -> Any:
    return module(batch)


def _named(module: Any, name: str, uri: EncoderUri) -> Any:
    layers = dict(module.named_modules())
    if name not in layers:
        some = ", ".join([key for key in layers if key][-SHOWN:])
        raise InputError(f"{uri.where}: has no layer {name}; its last ones are {some}")
    return layers[name]


def _find_head(
    module: Any, uri: EncoderUri, example: Any, call: Callable[[Any, Any], Any]
) -> tuple[list[str], Head]:
    """Return the layers that make the output, and the head that they are."""

    def run() -> Any:
        return call(module, example)

    # Without hooks first: only layers as wide as the output need be held in memory.
    output, _ = watch({}, run, uri.where)
    if not hasattr(output, "reshape"):
        raise InputError(
            f"{uri.where}: its output is a {type(output).__name__}, expected one tensor (n, d)"
        )
    logits = output.float().reshape(len(output), -1)
    layers = {name: layer for name, layer in module.named_modules() if is_linear(layer)}
    wide = {name: layer for name, layer in layers.items() if len(layer.weight) == logits.shape[1]}
    _, ran = watch(wide, run, uri.where)
    for names in ([name] for name in reversed(ran)):
        if (head := _explains(names, ran, logits)) is not None:
            return names, head
    if len(ran) > 1 and (head := _explains(list(ran), ran, logits)) is not None:
        return list(ran), head
    raise InputError(
        f"{uri.where}: has no linear head: no fully connected layer or 1×1 convolution makes its "
        f"{logits.shape[1]} outputs; give head=none to take these as features, or layer=NAME"
    )


def _asked_head(
    module: Any, name: str, uri: EncoderUri, example: Any, call: Callable[[Any, Any], Any]
) -> tuple[list[str], Head]:
    """Return a layer that is asked for, and the head that it is."""
    layer = _named(module, name, uri)
    if not is_linear(layer):
        raise InputError(
            f"{uri.where}: layer {name} is not fully connected nor a 1×1 convolution, so no head; "
            "give head=none to take what it puts out as features"
        )
    _, ran = watch({name: layer}, lambda: call(module, example), uri.where)
    if name not in ran:
        raise InputError(f"{uri.where}: layer {name} does not run just once on an image")
    own = ran[name].output
    if not _is_batch(layer, own) or len(own) != len(example):
        raise InputError(
            f"{uri.where}: layer {name} makes {tuple(own.shape)} of {len(example)} images, expected "
            f"({len(example)}, …); choose a layer whose rows are images"
        )
    head = _explains([name], ran, over_positions(layer, own))
    if head is None:
        raise InputError(
            f"{uri.where}: layer {name} is not its weights and bias alone: what it puts out differs "
            "from what they make; give head=none to take that as features"
        )
    return [name], head


def _explains(names: Sequence[str], ran: Mapping[str, Ran], logits: Any) -> Head | None:
    """Return the mean of some layers as a head when it makes the network's output, else None."""
    layers = [ran[name].layer for name in names]
    reads = [ran[name].input for name in names]
    rows = {
        len(value) for layer, value in zip(layers, reads, strict=True) if _is_batch(layer, value)
    }
    if rows != {len(logits)} or not all(map(_is_batch, layers, reads)):
        return None
    head = _head(layers)
    features = _side_by_side(layers, reads)
    return head if explains(head, features.float().numpy(), logits.numpy()) else None


def _is_batch(layer: Any, value: Any) -> bool:
    """Return whether what a linear layer reads or makes has an axis of images."""
    return bool(value.ndim == 4 if layer.weight.ndim == 4 else value.ndim >= 2)


def _head(layers: Sequence[Any]) -> Head:
    """Return the mean of some linear layers, over their inputs side by side, as one."""
    weights = [layer.weight.detach().float().flatten(1).cpu().numpy() for layer in layers]
    biases = [
        np.zeros(len(weight), np.float32)
        if layer.bias is None
        else layer.bias.detach().float().cpu().numpy()
        for layer, weight in zip(layers, weights, strict=True)
    ]
    count = np.float32(len(layers))
    bias: Array = np.stack(biases).mean(axis=0)
    return Head(np.concatenate(weights, axis=1) / count, bias)


def _side_by_side(layers: Sequence[Any], values: Sequence[Any]) -> Any:
    torch: Any = import_extra("torch", EXTRA)
    parts = [over_positions(layer, value) for layer, value in zip(layers, values, strict=True)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _pooled(value: Any, pool: str, uri: EncoderUri) -> Any:
    """Return a layer's output (n, d, h, w) or (n, t, d) as (n, d), by the mean or the first."""
    dims = getattr(value, "ndim", 0)
    if pool == "none" or dims == 2:
        return value
    if dims not in {3, 4} or (pool, dims) == ("first", 4):
        raise InputError(
            f"{uri.where}: got pool={pool} for an output of shape {tuple(getattr(value, 'shape', ()))}, "
            "expected (n, d, h, w) with pool=mean, or (n, tokens, d)"
        )
    if dims == 4:
        return value.mean((2, 3))
    return value.mean(1) if pool == "mean" else value[:, 0]
