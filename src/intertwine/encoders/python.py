"""Encoders from a Python file of the user's own that makes a torch network.

`python:FILE.py?function=make&crop=112&…`. The file is run, as Python runs any file that is given to
it: open only files that you trust. Its function, called without arguments, returns a
`torch.nn.Module` with weights loaded, from a batch (n, 3, h, w) to features (n, d). The module is
put in eval mode, run without gradients, and tried twice on one image: a network that answers
differently, by a dropout that is never off for instance, is refused.

function=NAME         what to call; `make` when omitted
crop=, mean=, face= … as for every encoder; crop is needed
"""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.torch_runner import TorchRunner, module_encoder, preprocessing
from intertwine.encoders.torch_weights import EXTRA
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.files import sha256_file, sha256_tensors
from intertwine.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.uri import EncoderUri

FUNCTION = "make"


def open_uri(uri: EncoderUri, *, threads: int | None = None) -> Encoder:
    """Open a network that a Python file makes; see `intertwine.encoders.registry.open_encoder`.

    Raises
    ------
    InputError
        When the file cannot be run, gives no torch network, or the network cannot be used as asked.
    MissingExtraError
        When torch is not installed.
    """
    import_extra("torch", EXTRA)
    prepared = preprocessing(uri, defaults={})
    module = _make(uri)
    # One piece at a time: nobody says that this forward may run twice at once.
    run = TorchRunner(module, where=uri.where, workers=1, threads=threads or available_cores())
    digest = _sha256(module, uri.path)
    encoder = module_encoder(uri, run, preprocessing=prepared, weights_sha256=digest)
    _check_repeatable(encoder, module, uri)
    return encoder


def _make(uri: EncoderUri) -> Any:
    torch: Any = import_extra("torch", EXTRA)
    name = uri.options.get("function", FUNCTION)
    path = Path(uri.path)
    spec = importlib.util.spec_from_file_location(f"_intertwine_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{uri.where}: not a Python file, expected a name that ends in .py")
    file = importlib.util.module_from_spec(spec)
    with _importing_beside(path):
        _attempt(uri, spec.loader.exec_module, file)
        function = getattr(file, name, None)
        if not callable(function):
            raise InputError(f"{uri.where}: has no function {name}; name one with function=NAME")
        module = _attempt(uri, function)
    if not isinstance(module, torch.nn.Module):
        raise InputError(
            f"{uri.where}: {name}() gave a {type(module).__name__}, expected a torch.nn.Module"
        )
    return module


def _attempt(uri: EncoderUri, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        raise InputError(f"{uri.where}: it failed ({type(error).__name__}: {error})") from error


@contextmanager
def _importing_beside(path: Path) -> Iterator[None]:
    """Let a file import what lies beside it, as when Python runs it, and only while it does."""
    before = list(sys.path)
    sys.path.insert(0, str(path.parent))
    try:
        yield
    finally:
        sys.path[:] = before


def _sha256(module: Any, path: str) -> str:
    """Return one SHA-256 over the code and every weight and buffer."""
    state = module.state_dict()
    # As bytes, since NumPy lacks some of torch's types.
    tensors = {
        name: tensor.detach().cpu().contiguous().reshape(-1).view(_byte()).numpy()
        for name, tensor in state.items()
    }
    kinds = {name: [str(tensor.dtype), *tensor.shape] for name, tensor in state.items()}
    return sha256_tensors(tensors, {"file": sha256_file(path), "kinds": kinds})


def _byte() -> Any:
    return import_extra("torch", EXTRA).uint8


def _check_repeatable(encoder: Encoder, module: Any, uri: EncoderUri) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, *encoder.preprocessing.size, 3), np.uint8)
    first, second = encoder.encode(image), encoder.encode(image)
    training = any(part.training for part in module.modules())
    if training or not np.array_equal(first, second):
        why = "it goes back to training mode" if training else "two runs on one image differ"
        raise InputError(
            f"{uri.where}: {why}; its forward must do the same every time, without dropout or "
            "batch statistics"
        )
