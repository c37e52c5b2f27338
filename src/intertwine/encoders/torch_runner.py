"""What the torch schemes share: modules in eval mode, a few images to a thread, as encoders."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.encoder import Encoder, probe_dim, reported_top1
from intertwine.encoders.preprocessing import Preprocessing
from intertwine.encoders.torch_weights import EXTRA, load_strict, read_state
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.files import sha256_file
from intertwine.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intertwine.arrays import Array
    from intertwine.encoders.uri import EncoderUri

# Images that run through a network at once.
PIECE = 8


def open_weights(
    uri: EncoderUri,
    make: Callable[[], Any],
    *,
    defaults: Mapping[str, str],
    fixed: tuple[int, int] | None = None,
    dropped: Sequence[str] = (),
    threads: int | None = None,
) -> Encoder:
    """Open a file of weights of a known architecture as an encoder without a head.

    Parameters
    ----------
    uri
        The encoder's URI; its path is the file.
    make
        Makes the architecture as a torch module, weights yet to be loaded.
    defaults
        Options of preprocessing that hold where the URI does not set them.
    fixed
        The input size that the architecture fixes, if it does.
    dropped
        Beginnings of names that the file may hold and that are left out.
    threads
        Threads that torch may use; the number of cores when omitted.

    Raises
    ------
    InputError
        When an option has an impossible value.
    FileFormatError
        When the file does not hold the weights of this architecture.
    """
    module = make()
    load_strict(module, read_state(Path(uri.path)), where=uri.where, dropped=dropped)
    return module_encoder(
        uri,
        TorchRunner(module, where=uri.where, workers=threads or available_cores()),
        preprocessing=preprocessing(uri, defaults=defaults, fixed=fixed),
        weights_sha256=sha256_file(uri.path),
    )


def preprocessing(
    uri: EncoderUri, *, defaults: Mapping[str, str], fixed: tuple[int, int] | None = None
) -> Preprocessing:
    """Return the preprocessing of a URI over a scheme's defaults; `resize` puts `face` aside."""
    whole = {"face": "none"} if "resize" in uri.options else {}
    filled = uri.replace(**{**defaults, **whole, **uri.options})
    return Preprocessing.from_uri(filled, fixed=fixed, layout="nchw", dtype="float32")


def module_encoder(
    uri: EncoderUri,
    run: TorchRunner,
    *,
    preprocessing: Preprocessing,
    weights_sha256: str,
) -> Encoder:
    """Return a torch module that can be run as an encoder without a head."""
    blank = np.zeros((1, *preprocessing.size, 3), np.uint8)
    return Encoder(
        name=uri.name,
        uri=str(uri),
        dim=probe_dim(run(preprocessing.apply(blank)), where=uri.where, head=None),
        preprocessing=preprocessing,
        head=None,
        weights_sha256=weights_sha256,
        split="output",
        parameters=sum(weight.numel() for weight in run.module.parameters()),
        reported_top1=reported_top1(uri),
        run=run,
    )


class TorchRunner:
    """Batches through a torch module on the CPU, in eval mode and without gradients.

    A batch is cut into pieces of `PIECE` images, so the features do not depend on the number of
    threads where each piece has one.

    Parameters
    ----------
    module
        The network; `eval()` is called on it.
    where
        What to call it in an error.
    workers
        Number of pieces that run side by side.
    threads
        Threads of each.
    """

    def __init__(self, module: Any, *, where: str, workers: int, threads: int = 1) -> None:
        self._torch: Any = import_extra("torch", EXTRA)
        self.module, self._where = module.eval(), where
        # Torch holds this number by thread. Two threads on one convolution wait for each other at
        # every layer, and three times longer where the cores have other work.
        self._pool = ThreadPoolExecutor(
            workers, "torch", initializer=self._torch.set_num_threads, initargs=(threads,)
        )

    def __call__(self, batch: Array) -> Array:
        """Return the features (n, d) of a batch (n, 3, h, w).

        Raises
        ------
        InputError
            When the network cannot be run on such images or gives no tensor.
        """
        pieces = [batch[start : start + PIECE] for start in range(0, len(batch), PIECE)]
        return np.concatenate(list(self._pool.map(self._piece, pieces)))

    def _piece(self, batch: Array) -> Array:
        try:
            with self._torch.inference_mode():
                features = self.module(self._torch.from_numpy(batch))
        except (RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"{self._where}: torch cannot run it ({error})") from error
        if not isinstance(features, self._torch.Tensor):
            raise InputError(
                f"{self._where}: its output is a {type(features).__name__}, "
                "expected one tensor (n, d)"
            )
        return np.asarray(features.float().numpy())
