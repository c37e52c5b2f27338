"""Encoders that a function of the user's own makes, in a Python file or an installed module.

`python:FILE.py?function=make&crop=112&…` or `python:package.module:make?crop=112&…`. The code is
run, as Python runs any file that is given to it: open only what you trust. The function, called
without arguments, returns a `torch.nn.Module` with weights loaded, from a batch (n, 3, h, w) to
features or logits, or an `intertwine.encoders.encoder.Encoder` ready to run. A module is put in
eval mode, run without gradients, and tried twice on one image: a network that answers differently,
by a dropout that is never off for instance, is refused.

function=NAME         what to call in a file; `make` when omitted
head=auto             the module's last layer is its classifier: split it off; features are what it
                      reads. Without it the module's output is the features
layer=NAME, pool=…    split at a named layer of the module, see docs/networks.md
weights=random:SEED   fresh weights: every layer's own reset_parameters()
crop=, mean=, face= … as for every encoder; crop is needed
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intertwine.encoders.encoder import Encoder
from intertwine.encoders.torch.encoder import fresh, open_module, preprocessing
from intertwine.encoders.torch.runner import check_repeatable
from intertwine.encoders.torch.weights import EXTRA, sha256_module
from intertwine.encoders.untrained import cannot_redraw
from intertwine.encoders.weights import asked_weights
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.files import sha256_file
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intertwine.encoders.execution import Execution
    from intertwine.encoders.uri import EncoderUri

FUNCTION = "make"


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open what a function makes; see `intertwine.encoders.registry.open_encoder`."""
    import_extra("torch", EXTRA)
    seed = asked_weights(uri, files=False).seed
    made, file = _made(uri, seed)
    if isinstance(made, Encoder):
        execution.require_plain(uri.where)
        _refuse_options(uri)
        if made.head is not None and made.head.dim != made.dim:
            raise InputError(
                f"{uri.where}: the function made an Encoder of dimension {made.dim}, but its head "
                f"reads {made.head.dim}"
            )
        return replace(made, name=uri.name, uri=str(uri))
    encoder = open_module(
        uri.replace(head=uri.options.get("head", "none")),
        made,
        execution,
        # Whether this forward may run twice at once is not known.
        workers=1,
        preprocessing=preprocessing(uri, defaults={}),
        weights_sha256=sha256_module(made, {"file": file}),
    )
    encoder = replace(encoder, uri=str(uri))
    check_repeatable(encoder, made, where=uri.where)
    return encoder


def _made(uri: EncoderUri, seed: int | None) -> tuple[Any, str | None]:
    """Return what the function made, and the SHA-256 of its code where that is a file."""
    torch: Any = import_extra("torch", EXTRA)
    module, name = _module(uri)
    function = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"{uri.where}: has no function {name}; name one with function=NAME")
    made = _attempt(uri, function)
    if not isinstance(made, (torch.nn.Module, Encoder)):
        raise InputError(
            f"{uri.where}: {name}() gave a {type(made).__name__}, "
            "expected a torch.nn.Module or an Encoder"
        )
    if seed is not None:
        _reset(made, seed, uri)
    code = getattr(module, "__file__", None)
    return made, None if code is None else sha256_file(code)


def _module(uri: EncoderUri) -> tuple[Any, str]:
    """Return the module that a URI names or the file it is in, run, and the function's name."""
    if uri.named:
        module, colon, function = uri.path.partition(":")
        if not colon or "function" in uri.options or module.endswith(".py"):
            raise InputError(f"{uri.where}: expected a FILE.py that is there, or module:function")
        return _attempt(uri, importlib.import_module, module), function
    path = Path(uri.path)
    spec = importlib.util.spec_from_file_location(f"_intertwine_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{uri.where}: not a Python file, expected a name that ends in .py")
    file = importlib.util.module_from_spec(spec)
    with _importing_beside(path):
        _attempt(uri, spec.loader.exec_module, file)
    return file, uri.options.get("function", FUNCTION)


def _attempt(uri: EncoderUri, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        raise InputError(
            f"{uri.where}: it failed ({type(error).__name__}: {one_line(error)})"
        ) from error


@contextmanager
def _importing_beside(path: Path) -> Iterator[None]:
    """Put a file's folder on the import path, as when Python runs it, while it runs."""
    before = list(sys.path)
    sys.path.insert(0, str(path.parent))
    try:
        yield
    finally:
        sys.path[:] = before


def _reset(made: Any, seed: int, uri: EncoderUri) -> None:
    """Draw every layer's weights afresh, as its own class starts."""
    if isinstance(made, Encoder):
        raise InputError(f"{uri.where}: got weights=random of an Encoder, expected a torch module")
    owners = [part for part in made.modules() if list(part.parameters(recurse=False))]
    unknown = next((part for part in owners if not hasattr(part, "reset_parameters")), None)
    if unknown is not None:
        raise cannot_redraw(uri.where, f"{type(unknown).__name__}, which has no reset_parameters()")
    fresh(lambda: [part.reset_parameters() for part in owners], seed)


def _refuse_options(uri: EncoderUri) -> None:
    extra = sorted(uri.options.keys() - {"function", "name"})
    if extra:
        raise InputError(
            f"{uri.where}: got {', '.join(extra)}, but the function made an Encoder, "
            "which has its own; leave them out"
        )
