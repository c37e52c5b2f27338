"""Torch modules as encoders: their weights, their preprocessing, where they are split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.encoder import Encoder, accuracies, drop_background, probe_dim
from intertwine.encoders.preprocessing import Preprocessing
from intertwine.encoders.torch.head import Split, split_network
from intertwine.encoders.torch.runner import TorchRunner
from intertwine.encoders.torch.weights import EXTRA, load_strict, read_state, sha256_module
from intertwine.encoders.weights import asked_weights
from intertwine.extras import import_extra
from intertwine.storage.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intertwine.encoders.execution import Execution
    from intertwine.encoders.uri import EncoderUri


# What networks call learned tokens that belong to no patch of the image.
_EXTRA_TOKENS = frozenset(
    {
        "class_embedding",
        "class_token",
        "cls_token",
        "dist_token",
        "distillation_token",
        "reg_token",
        "register_tokens",
    }
)


def open_weights(
    uri: EncoderUri,
    make: Callable[[], Any],
    execution: Execution,
    *,
    defaults: Mapping[str, str],
    fixed: tuple[int, int] | None = None,
    dropped: Sequence[str] = (),
) -> Encoder:
    """Open a file of weights of a known architecture as an encoder without a head.

    `make` makes the architecture with fresh weights; with `weights=random:SEED` the file is not
    read. `defaults` are options of preprocessing where the URI sets none, `fixed` the input size
    that the architecture fixes, and `dropped` the beginnings of names in the file that are left
    out.
    """
    prepared = preprocessing(uri, defaults=defaults, fixed=fixed)
    seed = asked_weights(uri, files=False).seed
    module = fresh(make, seed)
    if seed is None:
        load_strict(module, read_state(Path(uri.path)), where=uri.where, dropped=dropped)
    return module_encoder(
        uri,
        module,
        execution,
        preprocessing=prepared,
        split=Split("output", module, None),
        weights_sha256=None if seed is not None else sha256_file(uri.path),
    )


def fresh(make: Callable[[], Any], seed: int | None) -> Any:
    """Return what a function makes with torch's random numbers from a seed, 0 when None."""
    torch: Any = import_extra("torch", EXTRA)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        return make()


def preprocessing(
    uri: EncoderUri, *, defaults: Mapping[str, str], fixed: tuple[int, int] | None = None
) -> Preprocessing:
    """Return the preprocessing of a URI over a scheme's defaults.

    `resize` puts a default `face` aside, and `face` a default `resize`.
    """
    filled = {**defaults, **uri.options}
    if "resize" in uri.options and "face" not in uri.options:
        filled["face"] = "none"
    if uri.options.get("face", "none") != "none" and "resize" not in uri.options:
        filled.pop("resize", None)
    return Preprocessing.from_uri(
        uri.replace_all(filled), fixed=fixed, layout="nchw", dtype="float32"
    )


def open_module(
    uri: EncoderUri,
    module: Any,
    execution: Execution,
    *,
    preprocessing: Preprocessing,
    call: Callable[[Any, Any], Any] | None = None,
    weights_sha256: str | None = None,
    workers: int | None = None,
) -> Encoder:
    """Return a torch module as an encoder, split at its head or where the URI asks.

    `eval()` is called on it. `call` makes the output, one tensor, of the network and an input.
    Without `weights_sha256` all its weights are hashed; for `workers` see `TorchRunner`.
    """
    torch: Any = import_extra("torch", EXTRA)
    example = torch.from_numpy(preprocessing.apply(preprocessing.noise(2)))
    split = split_network(module.eval(), uri, example, call=call)
    encoder = module_encoder(
        uri,
        module,
        execution,
        preprocessing=preprocessing,
        split=split,
        weights_sha256=weights_sha256,
        workers=workers,
    )
    return replace(encoder, notes=_notes(module, uri))


def _notes(module: Any, uri: EncoderUri) -> tuple[str, ...]:
    """Return a note where tokens of no patch are averaged with those of patches."""
    if uri.options.get("pool") != "mean":
        return ()
    names = (name.rpartition(".")[2] for name, _ in module.named_parameters())
    extra = [name for name in dict.fromkeys(names) if name in _EXTRA_TOKENS]
    if not extra:
        return ()
    note = f"{uri.where}: pool=mean averages all tokens, {' and '.join(extra)} with the patches"
    return (note,)


def module_encoder(
    uri: EncoderUri,
    module: Any,
    execution: Execution,
    *,
    preprocessing: Preprocessing,
    split: Split,
    weights_sha256: str | None = None,
    workers: int | None = None,
) -> Encoder:
    """Return a torch module that is split already as an encoder; see `open_module`."""
    digest = weights_sha256 or sha256_module(module)
    run = TorchRunner(module, split.forward, where=uri.where, execution=execution, workers=workers)
    head = drop_background(split.head, uri)
    blank = np.zeros((1, *preprocessing.size, 3), np.uint8)
    return Encoder(
        name=uri.name,
        uri=str(uri),
        dim=probe_dim(run(preprocessing.apply(blank)), where=uri.where, head=head),
        preprocessing=preprocessing,
        head=head,
        weights_sha256=digest,
        split=split.name,
        parameters=sum(weight.numel() for weight in module.parameters()),
        **accuracies(uri),
        precision=execution.precision,
        run=run,
    )
