"""Batches through torch modules in eval mode, a few images to a thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from intertwine.encoders.torch.weights import EXTRA
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.untrusted import DAMAGE
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.preprocessing import Preprocessing
    from intertwine.numerics.arrays import Array

# Images that run through a network at once.
PIECE = 8


class TorchRunner:
    """Batches through a torch module in eval mode and without gradients.

    On the CPU a batch is cut into pieces of `PIECE` images, one thread each, so the features do not
    depend on the number of threads. On an accelerator it runs whole, with deterministic kernels.
    `forward` may be a part of what the module does. `workers` pieces run in parallel on the CPU, as
    many as threads by default; with one, that one has all threads.
    """

    def __init__(
        self,
        module: Any,
        forward: Callable[[Any], Any] | None = None,
        *,
        where: str,
        execution: Execution,
        workers: int | None = None,
    ) -> None:
        torch: Any = import_extra("torch", EXTRA)
        self._torch, self._where = torch, where
        self._device, self._precision = open_device(execution.device, where), execution.precision
        self.module = module.eval().to(self._device)
        self._forward = forward or self.module
        on_cpu = self._device.type == "cpu"
        workers = (workers or execution.cores) if on_cpu else 1
        # Torch holds this number by thread. Two threads on one convolution wait for each other at
        # every layer, and three times longer where the cores have other work.
        threads = max(1, execution.cores // workers)
        self._piece = PIECE if on_cpu else None
        self._pool = ThreadPoolExecutor(
            workers, "torch", initializer=torch.set_num_threads, initargs=(threads,)
        )

    def __call__(self, batch: Array) -> Array:
        """Return the features (n, d) of a batch (n, 3, h, w)."""
        step = self._piece or len(batch)
        pieces = [batch[start : start + step] for start in range(0, len(batch), step)]
        return np.concatenate(list(self._pool.map(self._run, pieces)))

    def _run(self, batch: Array) -> Array:
        try:
            with self._torch.inference_mode(), self._products():
                images = self._torch.from_numpy(batch).to(self._device)
                features = self._forward(images)
        except (RuntimeError, *DAMAGE) as error:
            raise InputError(f"{self._where}: torch cannot run it ({one_line(error)})") from error
        if not isinstance(features, self._torch.Tensor):
            raise InputError(
                f"{self._where}: its output is a {type(features).__name__}, "
                "expected one tensor (n, d)"
            )
        return np.asarray(features.float().cpu().numpy())

    def _products(self) -> Any:
        low = self._precision == "bfloat16"
        return self._torch.autocast(self._device.type, self._torch.bfloat16, enabled=low)


def open_device(name: str, where: str) -> Any:
    """Return a torch device that is there, its kernels set to be deterministic."""
    torch: Any = import_extra("torch", EXTRA)
    device = torch.device(name)
    there = {
        "cpu": lambda: 1,
        "cuda": torch.cuda.device_count,
        "mps": lambda: int(torch.backends.mps.is_available()),
    }[device.type]()
    if (device.index or 0) >= there:
        raise InputError(
            f"{where}: got device {name}, but torch sees {there} of that kind; give --device cpu"
        )
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
    return device


def check_repeatable(encoder: Encoder, module: Any, *, where: str) -> None:
    """Run a network twice on one image; raise when the features differ.

    A module that is no longer in eval mode is an error as well.
    """
    image = cast("Preprocessing", encoder.preprocessing).noise(1)
    first, second = encoder.encode(image), encoder.encode(image)
    training = any(part.training for part in module.modules())
    if training or not np.array_equal(first, second):
        why = "it goes back to training mode" if training else "two runs on one image differ"
        raise InputError(
            f"{where}: {why}; its forward must do the same every time, without dropout or "
            "batch statistics"
        )
