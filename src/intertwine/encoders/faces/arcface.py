"""ArcFace encoders of the arcface-tf2 project, 512-d, run by torch on the CPU.

`arcface:FILE.safetensors?OPTIONS`, FILE written by `intertwine convert-checkpoint`. The features
are the output of the last batch normalisation, of any norm.

arch=mobilenet-v2|resnet-50   the network; needed where the file does not say it itself. resnet-50
                              is version 1, the one of `keras.applications.ResNet50`
face=, scale= …               set by themselves to what the networks were trained with: the face
                              aligned to the ArcFace template at 112×112, RGB, pixel / 255;
                              face=none for aligned images
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

from intertwine.encoders.torch.encoder import open_weights
from intertwine.encoders.torch.weights import EXTRA
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.storage.files import read_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.uri import EncoderUri

SIZE = (112, 112)
DEFAULTS = {"face": "arcface", "scale": "1/255"}
# Class and module of each network.
ARCHITECTURES = {
    "mobilenet-v2": ("MobileNetV2ArcFace", "mobilenet_v2_arcface"),
    "resnet-50": ("ResNet50ArcFace", "resnet50_arcface"),
}


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open an ArcFace network; see `intertwine.encoders.registry.open_encoder`."""
    make = architecture(_name(uri))
    return open_weights(uri, make, execution, defaults=DEFAULTS, fixed=SIZE)


def architecture(name: str) -> Callable[[], Any]:
    """Return the class of a network of `ARCHITECTURES`."""
    import_extra("torch", EXTRA)
    kind, module = ARCHITECTURES[name]
    nets = importlib.import_module(f"intertwine.encoders.faces.nets.{module}")
    return cast("Callable[[], Any]", getattr(nets, kind))


def _name(uri: EncoderUri) -> str:
    """Return the architecture that the URI, or else the file, names."""
    stated = _header(uri.path).get("architecture")
    if "arch" not in uri.options and stated not in ARCHITECTURES:
        raise InputError(
            f"{uri.where}: does not say which network it holds; give "
            + " or ".join(f"arch={name}" for name in ARCHITECTURES)
        )
    asked = uri.choice("arch", tuple(ARCHITECTURES)) if "arch" in uri.options else stated
    if stated is not None and asked != stated:
        raise InputError(
            f"{uri.where}: got arch={asked}, but the file holds {stated}; leave arch out"
        )
    return str(asked)


def _header(path: str) -> dict[str, Any]:
    try:
        return read_header(path)
    except FileFormatError:
        # Weights from elsewhere have no header of ours; whether they are weights shows later.
        return {}
