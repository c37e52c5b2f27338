"""Encoder schemes by name; a scheme's module is imported when a URI asks for it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from intertwine.encoders.encoder import COMMON_OPTIONS, Encoder
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import InputError
from intertwine.spaces import check_space_name

if TYPE_CHECKING:
    import os


@dataclass(frozen=True)
class Scheme:
    """One ecosystem of networks.

    Parameters
    ----------
    module
        The module with `open_uri(uri, threads=…)`.
    summary
        What it opens, in a line.
    extra
        The extra of this package that it needs.
    options
        The URI options it knows, beyond the common ones.
    path_options
        Those of them that may name a file.
    """

    module: str
    summary: str
    extra: str
    options: tuple[str, ...]
    path_options: tuple[str, ...] = ()

    @property
    def known(self) -> list[str]:
        """Every option it knows, sorted."""
        return sorted({*COMMON_OPTIONS, *self.options})


SCHEMES: dict[str, Scheme] = {
    "onnx": Scheme(
        "intertwine.encoders.onnx",
        "a network in an ONNX file",
        "onnx",
        ("background", "head", "layer", "layout", "weights"),
    ),
    "tflite": Scheme(
        "intertwine.encoders.tflite",
        "a network in a TensorFlow Lite file, 8-bit or float",
        "tflite",
        ("background", "head", "layer", "weights"),
        path_options=("head",),
    ),
    "arcface": Scheme(
        "intertwine.encoders.arcface",
        "an ArcFace MobileNetV2 or ResNet-50 of arcface-tf2, 512-d, from convert-checkpoint",
        "vision",
        ("arch",),
    ),
    "facenet": Scheme(
        "intertwine.encoders.facenet",
        "a FaceNet InceptionResnetV1, 512-d, weights named as in facenet-pytorch",
        "vision",
        (),
    ),
    "mobilefacenet": Scheme(
        "intertwine.encoders.mobilefacenet",
        "a MobileFaceNet, 128-d, weights named as in facesdk",
        "vision",
        (),
    ),
    "python": Scheme(
        "intertwine.encoders.python",
        "a torch network that a function in a Python file of yours makes",
        "vision",
        ("function",),
    ),
}


def parse_uri(text: str) -> EncoderUri:
    """Return a URI whose scheme, options and space name are known to be good.

    Paths are made absolute, so that the URI means the same from any folder.

    Raises
    ------
    InputError
        For an unknown scheme or option, a file that is not there, or an impossible space name.
    """
    uri = EncoderUri.parse(text)
    scheme = SCHEMES.get(uri.scheme)
    if scheme is None:
        raise InputError(
            f"got encoder {text!r} of unknown scheme {uri.scheme!r}, "
            f"expected one of {', '.join(SCHEMES)}"
        )
    for key in uri.options:
        if key not in scheme.known:
            raise InputError(
                f"encoder {text}: unknown option {key!r}; "
                f"{uri.scheme} knows {', '.join(scheme.known)}"
            )
    if not Path(uri.path).is_file():
        raise InputError(f"encoder {text}: no file {uri.path}")
    try:
        check_space_name(uri.name)
    except InputError as error:
        raise InputError(f"encoder {text}: {error}; choose one with name=NAME") from error
    paths = [key for key in scheme.path_options if uri.options.get(key) != "none"]
    return uri.absolute(*paths)


def open_encoder(uri: str | os.PathLike[str], *, threads: int | None = None) -> Encoder:
    """Open an encoder.

    Parameters
    ----------
    uri
        Such as `onnx:net.onnx?channels=bgr&mean=104,117,123`.
    threads
        Threads that the network may use; the number of cores when omitted.

    Returns
    -------
    encoder
        Ready to encode.

    Raises
    ------
    InputError
        When the URI is wrong or the network cannot be used as asked.
    FileFormatError
        When the file is no network of this kind.
    MissingExtraError
        When the library that runs such networks is not installed.
    """
    parsed = parse_uri(str(uri))
    module = importlib.import_module(SCHEMES[parsed.scheme].module)
    return cast("Encoder", module.open_uri(parsed, threads=threads))


def with_options(uri: str, **options: str) -> str:
    """Return an encoder URI with some of its options set, as in `weights="random:0"`."""
    return str(EncoderUri.parse(uri).replace(**options))
