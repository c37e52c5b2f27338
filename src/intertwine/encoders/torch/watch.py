"""Watching a torch network run: what its linear layers read, and stopping at one of them."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from intertwine.encoders.torch.weights import EXTRA
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Ran:
    """A linear layer that ran, and what it read and made, float32."""

    layer: Any
    input: Any
    output: Any


def is_linear(layer: Any) -> bool:
    """Return whether a torch layer is an affine map of channels: fully connected, or a 1×1."""
    nn: Any = import_extra("torch.nn", EXTRA)
    if isinstance(layer, nn.Conv2d):
        steps = (layer.kernel_size, layer.stride, layer.padding, layer.groups)
        return bool(steps == ((1, 1), (1, 1), (0, 0), 1))
    return isinstance(layer, nn.Linear)


def watch(
    layers: Mapping[str, Any], run: Callable[[], Any], where: str
) -> tuple[Any, dict[str, Ran]]:
    """Run a network once; return its output, and what its layers read and made by name, in order.

    Layers that did not run just once are left out. What all of them read and make is held in memory
    at once.
    """
    ran: dict[str, Ran] = {}
    times: Counter[str] = Counter()

    def seen(name: str, layer: Any, inputs: Any, named: Any, output: Any) -> None:
        times[name] += 1
        # A learned query, which is a parameter, may be what it reads.
        read = _first(inputs, named).detach()
        ran[name] = Ran(layer, read.float(), output.detach().float())

    hooks = [
        layer.register_forward_hook(partial(seen, name), with_kwargs=True)
        for name, layer in layers.items()
    ]
    try:
        output = run_alone(run)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise InputError(f"{where}: torch cannot run it ({one_line(error)})") from error
    finally:
        for hook in hooks:
            hook.remove()
    return output, {name: one for name, one in ran.items() if times[name] == 1}


def _first(inputs: Any, named: Any) -> Any:
    """Return the first argument of a layer, by place or by name."""
    return inputs[0] if inputs else next(iter(named.values()))


def run_alone(run: Callable[[], Any]) -> Any:
    """Return what a function of torch's returns, without gradients and on one thread of its own.

    Two threads on one convolution wait for each other at every layer, and much longer where the
    cores have other work.
    """
    torch: Any = import_extra("torch", EXTRA)

    def inferred() -> Any:
        with torch.inference_mode():
            return run()

    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return pool.submit(inferred).result()


def over_positions(layer: Any, value: Any) -> Any:
    """Return what a linear layer reads or makes as (n, d), its mean over positions.

    A convolution's is (n, d, h, w), a fully connected layer's (n, …, d).
    """
    if value.ndim == 2:
        return value
    if layer.weight.ndim == 4:
        return value.mean((2, 3))
    return value.flatten(1, -2).mean(1)


class _ReachedError(Exception):
    """Ends a forward pass that has gone far enough."""


class RunUntil:
    """Runs a network until some of its layers have run, and no further.

    The layers are listed in the order in which they run. It returns what they read with `inputs`,
    else what they make.
    """

    def __init__(
        self,
        module: Any,
        layers: Sequence[Any],
        call: Callable[[Any, Any], Any],
        *,
        inputs: bool,
    ) -> None:
        self._module, self._call, self._count = module, call, len(layers)
        # Several batches may run side by side, each in a thread of its own.
        self._seen = threading.local()
        for layer in layers:
            if inputs:
                layer.register_forward_pre_hook(
                    lambda _, values, named: self._take(_first(values, named)), with_kwargs=True
                )
            else:
                layer.register_forward_hook(lambda _, __, output: self._take(output))

    def _take(self, value: Any) -> None:
        values = getattr(self._seen, "values", None)
        if values is None:
            # Somebody else runs the network, to its end.
            return
        values.append(value)
        if len(values) == self._count:
            raise _ReachedError

    def __call__(self, batch: Any) -> list[Any]:
        """Return what the layers read or make for a batch."""
        self._seen.values = []
        try:
            self._call(self._module, batch)
        except _ReachedError:
            return list(self._seen.values)
        finally:
            self._seen.values = None
        msg = "the layers it was to stop at did not run"
        raise RuntimeError(msg)
