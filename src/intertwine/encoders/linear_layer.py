"""The last linear layer of a network whose graph can be read: found, read as a head, and checked.

From an output backwards, over scores, means over positions, shapes and rounding, the first fully
connected layer or 1×1 convolution is the classifier: what it reads is the features. ONNX files,
TensorFlow Lite files and frozen TensorFlow graphs are walked in the same way, each behind `Graph`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from intertwine.encoders.encoder import mismatch, same_output
from intertwine.encoders.scores import same_scores
from intertwine.errors import InputError
from intertwine.spaces import Head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.numerics.arrays import Array

# What a graph calls a tensor.
T = TypeVar("T", int, str)


class Role(Enum):
    """What an operation may be on the way from the last linear layer to the output."""

    LINEAR = auto()
    BIAS = auto()
    POOL = auto()  # a mean over positions
    ROUNDING = auto()
    SCORE = auto()  # a function of logits that keeps the order of the classes
    SHAPE = auto()


@dataclass(frozen=True, eq=False)
class Node(Generic[T]):
    """One operation of a graph, compared by identity; `proto` is the file's own record of it."""

    op: str
    name: str
    inputs: tuple[T, ...]
    outputs: tuple[T, ...]
    proto: Any


class Graph(Protocol[T]):
    """A network's graph, as far as the way back to its last linear layer needs it."""

    @property
    def where(self) -> str:
        """What to call the network in an error."""

    @property
    def roles(self) -> Mapping[str, Role]:
        """The role of each type of operation that the way back may cross or end at."""

    @property
    def nodes(self) -> Sequence[Node[T]]:
        """The operations, each after those that make its inputs."""

    @property
    def outputs(self) -> Sequence[T]:
        """The output tensors, the first of them the one that is meant where none is named."""

    def name_of(self, tensor: T) -> str:
        """Return the name that a user knows a tensor by."""

    def maker(self, tensor: T) -> Node[T] | None:
        """Return the operation that makes a tensor; None for an input, a constant and no tensor."""

    def constant(self, tensor: T) -> Array | None:
        """Return the value of a tensor that depends on weights only, else None."""

    def weight(self, node: Node[T]) -> Array | None:
        """Return the weight (K, d) of a linear operation, None where it is not plainly linear.

        Not plain are weights that are no constants, kernels larger than 1×1, strides and groups.
        """

    def biases(self, node: Node[T]) -> list[Array]:
        """Return the biases that a linear operation adds by itself, each flat, empty if unknown."""

    def addend(self, node: Node[T]) -> tuple[T, Array] | None:
        """Return what an addition adds a constant to, and the constant, flat; else None."""

    def follow(self, node: Node[T], values: Array) -> tuple[Array, float] | None:
        """Compute what an operation after the logits makes of values (n, K).

        Returns
        -------
        values
            (n, K) array.
        slack
            By how much rounding may move them.

        None is returned for an operation whose arithmetic is not known.
        """


@dataclass(frozen=True)
class LinearLayer(Generic[T]):
    """A fully connected layer or 1×1 convolution with constant weights.

    It reads the tensor `features` and makes, biases included, the tensor `logits`, of which the
    nodes `after`, in order, make the output. With `pooled` its output is averaged over positions,
    so that its input may be too.
    """

    node: Node[T]
    head: Head
    features: T
    logits: T
    pooled: bool
    after: tuple[Node[T], ...]


def role(graph: Graph[T], node: Node[T]) -> Role | None:
    """Return the role of an operation, None for one that the way back cannot cross."""
    return graph.roles.get(node.op)


def linear_ops(graph: Graph[T]) -> list[str]:
    """Return the types of operations that are linear layers."""
    return [op for op, kind in graph.roles.items() if kind is Role.LINEAR]


def walk_back(graph: Graph[T], output: T) -> tuple[Node[T] | None, tuple[Node[T], ...]]:
    """Return the node that ends the way back from an output, and what lies between, in order.

    It is the last linear layer, or what cannot be crossed, or None at an input or a constant.
    """
    after: list[Node[T]] = []
    tensor = output
    while True:
        node = graph.maker(tensor)
        if node is None or not node.inputs:
            return None, tuple(reversed(after))
        if node in after:
            raise InputError(f"{graph.where}: {node.name} is made of itself; damaged")
        tensor = node.inputs[0]
        kind = role(graph, node)
        if kind is Role.BIAS:
            addend = graph.addend(node)
            tensor, kind = (tensor, None) if addend is None else (addend[0], kind)
        # A mean of scores is no score of a mean.
        pooled_scores = kind is Role.SCORE and _pools(graph, after)
        if kind in {None, Role.LINEAR} or pooled_scores:
            return node, tuple(reversed(after))
        after.append(node)


def _pools(graph: Graph[T], nodes: Sequence[Node[T]]) -> bool:
    return any(role(graph, node) is Role.POOL for node in nodes)


def last_linear(graph: Graph[T], output: T) -> LinearLayer[T]:
    """Return the last linear layer before an output; an error where none leads to it."""
    node, after = walk_back(graph, output)
    if node is not None and role(graph, node) is Role.LINEAR:
        return read_linear(graph, node, after)
    why = (
        "no fully connected layer or 1×1 convolution leads to it"
        if node is None
        else f"{node.op} stands between its last linear layer and its output"
    )
    raise InputError(
        f"{graph.where}: no head found: {why}; give head=none when the output itself is the "
        "features, or layer=NAME for the layer to split at"
    )


def named_linear(graph: Graph[T], layer: str, output: T) -> LinearLayer[T]:
    """Return a layer by its name, with a bias that is added to it on the way to an output."""
    node = find(graph, layer)
    nodes = ancestors(graph, output)
    users = [
        user
        for user in (nodes if node in nodes else graph.nodes)
        if any(graph.maker(tensor) is node for tensor in user.inputs)
    ]
    if len(users) == 1 and role(graph, users[0]) is Role.BIAS:
        addend = graph.addend(users[0])
        if addend is not None and graph.maker(addend[0]) is node:
            return read_linear(graph, node, (users[0],))
    return read_linear(graph, node, ())


def find(graph: Graph[T], layer: str) -> Node[T]:
    """Return the operation that has a name, or makes a tensor of that name."""
    for node in graph.nodes:
        if layer == node.name or layer in map(graph.name_of, node.outputs):
            return node
    names = [node.name for node in graph.nodes if role(graph, node) is Role.LINEAR]
    raise InputError(
        f"{graph.where}: no layer {layer!r}; its last linear layers are {', '.join(names[-3:])}"
    )


def read_linear(graph: Graph[T], node: Node[T], after: Sequence[Node[T]]) -> LinearLayer[T]:
    """Return an operation as a linear layer; additions after it are its biases."""
    if role(graph, node) is not Role.LINEAR:
        raise InputError(
            f"{graph.where}: layer {node.name} is a {node.op}, "
            f"expected {', '.join(linear_ops(graph))}"
        )
    weight, biases, last = graph.weight(node), graph.biases(node), 0
    for position in range(len(after), 0, -1):
        one = after[position - 1]
        if role(graph, one) is Role.BIAS and (addend := graph.addend(one)) is not None:
            biases.append(addend[1])
            last = last or position
    if weight is None or any(bias.size not in {1, len(weight)} for bias in biases):
        raise InputError(
            f"{graph.where}: layer {node.name} is no plain fully connected layer or 1×1 "
            "convolution with constant weights and biases; choose another with layer=NAME, or "
            "give head=none"
        )
    bias = sum(biases, np.zeros(len(weight), np.float32))
    return LinearLayer(
        node,
        Head(weight.astype(np.float32), bias),
        features=node.inputs[0],
        logits=(after[last - 1] if last else node).outputs[0],
        pooled=_pools(graph, after),
        after=tuple(after[last:]),
    )


def ancestors(graph: Graph[T], tensor: T) -> list[Node[T]]:
    """Return the operations that a tensor depends on, in the graph's order."""
    reached: set[Node[T]] = set()
    waiting = [tensor]
    while waiting:
        node = graph.maker(waiting.pop())
        if node is not None and node not in reached:
            reached.add(node)
            waiting += node.inputs
    return [node for node in graph.nodes if node in reached]


def leads_on(graph: Graph[T], output: T, other: T) -> bool:
    """Return whether a linear layer makes an output of another output, or of what follows that."""
    reached = {output}
    for node in ancestors(graph, other):
        if reached & set(node.inputs):
            if role(graph, node) is Role.LINEAR:
                return True
            reached |= set(node.outputs)
    return False


def as_vectors(values: Array, *, pooled: bool, axes: tuple[int, int]) -> Array:
    """Return maps, whose positions lie along two axes, as (n, d) where pooled or of one position."""
    if values.ndim == 4 and pooled:
        return np.asarray(values.mean(axis=axes))
    one_position = values.ndim == 4 and {values.shape[axis] for axis in axes} == {1}
    return values.squeeze(axis=axes) if one_position else values


def check_head(
    graph: Graph[T],
    layer: LinearLayer[T],
    features: Array,
    logits: Array,
    output: Array,
    *,
    limits: tuple[float, float] = (-np.inf, np.inf),
    slack: float = 0.0,
) -> None:
    """Compare a head with the network's own logits of noise images, and these with its output.

    The logits may differ by `slack` beyond rounding; `limits` are the least and the greatest that
    their tensor can hold.
    """
    own = logits.reshape(len(logits), -1)
    if not np.isfinite(own).all():
        raise InputError(
            f"{graph.where}: makes logits of noise images that are not finite; give the mean=, std= "
            "and scale= that it was trained with"
        )
    fits = features.shape == (len(own), layer.head.dim)
    if not fits or not same_output(np.clip(layer.head.logits(features), *limits), own, slack=slack):
        raise mismatch(graph.where)
    if layer.after and not _leads_to(graph, layer, own, output):
        raise mismatch(graph.where)


def _leads_to(graph: Graph[T], layer: LinearLayer[T], logits: Array, output: Array) -> bool:
    """Return whether the operations after the logits make the output of them."""
    values, slack = logits.astype(np.float64), 0.0
    for node in layer.after:
        followed = graph.follow(node, values)
        if followed is None:
            return True
        values, rounding = followed
        slack += rounding
    return same_scores(values, output, slack=slack)
