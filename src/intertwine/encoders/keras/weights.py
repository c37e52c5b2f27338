"""Weights of Keras models: files read strictly, copies, and one SHA-256 over all."""

from __future__ import annotations

import warnings
import zipfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.storage.files import sha256_tensors
from intertwine.wording import counted, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.numerics.arrays import Array

EXTRA = "keras"
# The file of weights inside a `.keras` file.
INNER = "model.weights.h5"
# What EfficientNet's published files hold as variances are standard deviations.
_PUBLISHED = (0.229, 0.224, 0.225)


def load_weights(model: Any, path: Path, *, where: str) -> None:
    """Put a file's weights into a model, every one of them and nothing else.

    The file is `.weights.h5`, `.keras`, or `.h5` as Keras 2 wrote it and as keras.applications
    fetches.
    """
    try:
        with _device(), warnings.catch_warnings():
            # Of parts that older versions did not store; what is missing shows in the count.
            warnings.simplefilter("ignore", UserWarning)
            model.load_weights(str(path))
        stored = _count_stored(path)
    except (AttributeError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            f"{where}: {path} does not hold its weights, or cannot be read ({one_line(error)})"
        ) from error
    if stored is not None and stored != len(model.weights):
        raise FileFormatError(
            f"{where}: {path} holds another architecture: {counted(stored, 'array')} of weights, "
            f"expected {len(model.weights)}"
        )


def _count_stored(path: Path) -> int | None:
    """Return how many arrays a Keras 3 file holds; None for Keras 2, where Keras itself counts."""
    h5py: Any = import_extra("h5py", EXTRA)
    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        # Dropout stores its seed too.
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name:
            names.append(name)

    if path.suffix != ".keras" and not path.name.endswith(".weights.h5"):
        return None
    with ExitStack() as stack:
        source: Any = path
        if path.suffix == ".keras":
            source = stack.enter_context(zipfile.ZipFile(path)).open(INNER)
        stack.enter_context(h5py.File(source, "r"))["layers"].visititems(visit)
    return len(names)


def copy_weights(source: Any, target: Any, *, where: str) -> None:
    """Copy a network's weights to the same network at another input size.

    A weight that depends on the input size, as in VGG, is an error.
    """
    pairs = list(zip(source.weights, target.weights, strict=True))
    for weight, other in pairs:
        if weight.shape != other.shape:
            raise InputError(
                f"{where}: its weight {weight.path} has shape {tuple(weight.shape)} at its own input of "
                f"{source.input_shape[1]} pixels and {tuple(other.shape)} at "
                f"{target.input_shape[1]}; leave crop out"
            )
    with _device():
        for weight, other in pairs:
            other.assign(weight.value)


def mend_standardisation(keras: Any, model: Any) -> None:
    """Fit EfficientNet's published weights to a network made without them.

    Their file holds standard deviations where Keras expects variances. For `weights="imagenet"`
    Keras mends it with one more layer, which a network made otherwise lacks; here in the weights.
    """
    with _device():
        for layer in model.layers:
            if not isinstance(layer, keras.layers.Normalization):
                continue
            variance = layer.adapt_variance
            if np.allclose(to_array(variance), _PUBLISHED, atol=1e-6):
                variance.assign(np.square(to_array(variance)))
            layer.finalize_state()


def sha256_model(model: Any) -> str:
    """Return one SHA-256 over every weight of a model."""
    named = ((f"{i}:{weight.path}", weight) for i, weight in enumerate(model.weights))
    return sha256_tensors({name: to_array(weight) for name, weight in named}, {})


def to_array(weight: Any) -> Array:
    """Return a weight of a model as float32, in the memory of the host."""
    # Keras's own conversion draws a warning of NumPy's.
    return np.asarray(weight.value.detach().float().cpu().numpy())


def _device() -> Any:
    """Return the scope in which Keras keeps arrays in the memory of the host."""
    return import_extra("keras", EXTRA).device("cpu")
