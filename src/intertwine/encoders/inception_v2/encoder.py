"""The Inception-v2 (BN-Inception) of TF-slim, 1024-d and 1000 classes, run by torch.

`inception-v2:FILE.safetensors?OPTIONS`, FILE written by `intertwine convert-checkpoint` from slim's
checkpoint. `inception-v2:NAME?weights=random:SEED` needs no file. Ioffe & Szegedy, "Batch
Normalization" (ICML 2015).

background=drop     the default: leaves out class 0, so that classes are ImageNet's 0 to 999;
                    background=keep has all 1001
weights=random:SEED the same architecture with fresh weights, head included
crop=, mean= …      set by themselves to what the network was trained with: the centre at 224×224,
                    RGB, (pixel − 127.5) / 127.5; crop= takes any other size
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from intertwine.encoders.torch.encoder import fresh, open_module, preprocessing
from intertwine.encoders.torch.weights import EXTRA, load_strict, read_state
from intertwine.encoders.weights import asked_weights
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.files import sha256_file

if TYPE_CHECKING:
    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.uri import EncoderUri

DEFAULTS = {"crop": "224", "mean": "127.5", "resize": "centre", "std": "127.5"}


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open an Inception-v2; see `intertwine.encoders.registry.open_encoder`."""
    import_extra("torch", EXTRA)
    from intertwine.encoders.inception_v2.net import InceptionV2

    uri = uri.replace(background=uri.options.get("background", "drop"))
    prepared = preprocessing(uri, defaults=DEFAULTS)
    seed = asked_weights(uri, files=False).seed
    if uri.named and seed is None:
        raise InputError(
            f"{uri.where}: no file {uri.path}; make it from slim's inception_v2.ckpt with "
            "intertwine convert-checkpoint --arch inception-v2, or give weights=random:SEED"
        )
    module = fresh(InceptionV2, seed)
    if seed is None:
        load_strict(module, read_state(Path(uri.path)), where=uri.where)
    return open_module(
        uri,
        module,
        execution,
        preprocessing=prepared,
        weights_sha256=None if seed is not None else sha256_file(uri.path),
    )
