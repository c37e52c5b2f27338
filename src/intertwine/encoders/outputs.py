"""Which of a network's outputs is its classes, where it has several."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from intertwine.encoders.linear_layer import T, last_linear, leads_on
from intertwine.errors import InputError

if TYPE_CHECKING:
    from intertwine.encoders.linear_layer import Graph, LinearLayer
    from intertwine.encoders.uri import EncoderUri


def choose_output(graph: Graph[T], name: str | None) -> T:
    """Return the output of a name, the first where no name is asked for."""
    outputs = {graph.name_of(tensor): tensor for tensor in graph.outputs}
    if name is None:
        return graph.outputs[0]
    if name not in outputs:
        raise InputError(f"{graph.where}: no output {name}; it has {', '.join(outputs)}")
    return outputs[name]


def require_last(graph: Graph[T], output: T, uri: EncoderUri) -> None:
    """Raise where a layer makes another output of the first one, and the URI names neither."""
    if uri.options.keys() & {"layer", "output"}:
        return
    further = next((other for other in graph.outputs if leads_on(graph, output, other)), None)
    if further is not None:
        first, later = graph.name_of(output), graph.name_of(further)
        raise InputError(
            f"{graph.where}: its output {later} is made from its first one, {first}, by another "
            f"layer, so which are its classes is open; give output={first} or output={later}"
        )


def other_heads(
    graph: Graph[T], layer: LinearLayer[T], output: T, uri: EncoderUri
) -> tuple[str, ...]:
    """Return a note about other outputs that have a head of their own, where none was named."""
    if uri.options.keys() & {"layer", "output"}:
        return ()
    others = {}
    for other in graph.outputs:
        with suppress(InputError):
            head_layer = last_linear(graph, other)
            if head_layer.features != layer.features:
                others[graph.name_of(other)] = head_layer.head.n_classes
    if not others:
        return ()
    shown = ", ".join(f"{name} ({count} values)" for name, count in others.items())
    note = (
        f"{graph.where}: the head is that of its first output, {graph.name_of(output)} "
        f"({layer.head.n_classes} values); {shown} has another; choose with output=NAME"
    )
    return (note,)
