"""Encoder schemes by name; a scheme's module is imported when a URI asks for it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from intertwine.encoders.encoder import COMMON_OPTIONS, IMAGE_OPTIONS, Encoder
from intertwine.encoders.execution import Execution
from intertwine.encoders.uri import EncoderUri, absolute_path
from intertwine.encoders.weights import RANDOM
from intertwine.errors import InputError
from intertwine.spaces import check_space_name

if TYPE_CHECKING:
    import os


@dataclass(frozen=True)
class Scheme:
    """One ecosystem of networks."""

    # The module with `open_uri(uri, execution)`.
    module: str
    summary: str
    extra: str
    # The URI options it knows, beyond the common ones, and those of them that may name a file.
    options: tuple[str, ...]
    path_options: tuple[str, ...] = ()
    # What stands after the colon: `file`, `folder`, `name` of a network, or `name or file`, where a
    # file or folder that is there is meant as one.
    opens: str = "file"
    # `images`, or `texts`, which have no options of pixels.
    reads: str = "images"

    @property
    def known(self) -> list[str]:
        """Every option it knows, sorted."""
        common = IMAGE_OPTIONS if self.reads == "images" else COMMON_OPTIONS
        return sorted({*common, *self.options})


SCHEMES: dict[str, Scheme] = {
    "timm": Scheme(
        "intertwine.encoders.torch.timm",
        "an image network of timm by name, such as resnet50.a1_in1k",
        "vision",
        ("head", "layer", "pool", "weights"),
        path_options=("weights",),
        opens="name",
    ),
    "torchvision": Scheme(
        "intertwine.encoders.torch.torchvision",
        "an image classifier of torchvision by name, such as googlenet",
        "vision",
        ("head", "layer", "pool", "weights"),
        path_options=("weights",),
        opens="name",
    ),
    "keras": Scheme(
        "intertwine.encoders.keras.encoder",
        "a network of keras.applications by name, such as ResNet50, or a .keras file",
        "keras",
        ("alpha", "background", "head", "layer", "weights"),
        path_options=("weights",),
        opens="name or file",
    ),
    "tfhub": Scheme(
        "intertwine.encoders.tfhub.encoder",
        "a TensorFlow SavedModel in a folder, as TF-Hub and Kaggle Models give them",
        "tensorflow",
        ("background", "head", "layer", "signature", "weights"),
        opens="folder",
    ),
    "hf": Scheme(
        "intertwine.encoders.hub.huggingface",
        "an image network of transformers, in a folder or by the name of its hub repository",
        "transformers",
        ("head", "layer", "pool", "weights"),
        path_options=("weights",),
        opens="name or file",
    ),
    "st": Scheme(
        "intertwine.encoders.hub.sentence_transformers",
        "a text network of sentence-transformers, in a folder or by its hub name",
        "texts",
        ("max_tokens", "prompt", "weights"),
        opens="name or file",
        reads="texts",
    ),
    "onnx": Scheme(
        "intertwine.encoders.onnx.encoder",
        "a network in an ONNX file",
        "onnx",
        ("background", "head", "layer", "layout", "output", "weights"),
    ),
    "tflite": Scheme(
        "intertwine.encoders.tflite.encoder",
        "a network in a TensorFlow Lite file, 8-bit or float",
        "tflite",
        ("background", "head", "layer", "output", "weights"),
        path_options=("head",),
    ),
    "inception-v2": Scheme(
        "intertwine.encoders.inception_v2.encoder",
        "the TF-slim Inception-v2 (BN-Inception), 1024-d, from convert-checkpoint",
        "vision",
        ("background", "weights"),
        opens="name or file",
    ),
    "arcface": Scheme(
        "intertwine.encoders.faces.arcface",
        "an ArcFace MobileNetV2 or ResNet-50 of arcface-tf2, 512-d, from convert-checkpoint",
        "vision",
        ("arch", "weights"),
    ),
    "facenet": Scheme(
        "intertwine.encoders.faces.facenet",
        "a FaceNet InceptionResnetV1, 512-d, weights named as in facenet-pytorch",
        "vision",
        ("weights",),
    ),
    "mobilefacenet": Scheme(
        "intertwine.encoders.faces.mobilefacenet",
        "a MobileFaceNet, 128-d, weights named as in facesdk",
        "vision",
        ("weights",),
    ),
    "python": Scheme(
        "intertwine.encoders.torch.python",
        "what a function of yours makes, in FILE.py or as module:function",
        "vision",
        ("background", "function", "head", "layer", "pool", "weights"),
        opens="name or file",
    ),
}


def parse_uri(text: str) -> EncoderUri:
    """Return a URI whose scheme, options, files and space name are known to be good.

    Paths are made absolute, so that the URI means the same from any folder.
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
    uri = replace(uri, named=_is_name(uri, scheme.opens))
    try:
        check_space_name(uri.name)
    except InputError as error:
        raise InputError(f"encoder {text}: {error}; choose one with name=NAME") from error
    words = ("none", RANDOM)
    paths = [key for key in scheme.path_options if not uri.options.get(key, "").startswith(words)]
    return uri.absolute(*paths)


def _is_name(uri: EncoderUri, opens: str) -> bool:
    """Return whether a URI names a network rather than a file or folder, which then is there."""
    path = Path(absolute_path(uri.path))
    if opens == "name" or (opens == "name or file" and not path.exists()):
        # What looks like a path is one; `owner/name` is a name all the same.
        if not uri.path.startswith((".", "/", "~")):
            return True
        opens = "file or folder"
    there = path.is_dir() if opens == "folder" else path.exists()
    if not there or (opens == "file" and not path.is_file()):
        raise InputError(f"encoder {uri}: no {opens} {uri.path}")
    return False


def open_encoder(
    uri: str | os.PathLike[str],
    *,
    threads: int | None = None,
    device: str = "cpu",
    precision: str = "float32",
) -> Encoder:
    """Open an encoder.

    Parameters
    ----------
    uri
        Such as `onnx:net.onnx?channels=bgr&mean=104,117,123`.
    threads
        Threads that the network may use; the number of cores when omitted.
    device, precision
        Where it runs and with which products; see `intertwine.encoders.execution.Execution`.

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
    execution = Execution(threads, device, precision)
    parsed = parse_uri(str(uri))
    module = importlib.import_module(SCHEMES[parsed.scheme].module)
    return cast("Encoder", module.open_uri(parsed, execution))


def with_options(uri: str, **options: str) -> str:
    """Return an encoder URI with some of its options set, as in `weights="random:0"`."""
    return str(EncoderUri.parse(uri).replace(**options))
