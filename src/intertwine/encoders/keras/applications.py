"""Networks of `keras.applications` by name, at any input size, and what pixels they read."""

from __future__ import annotations

import importlib
import inspect
import re
import socket
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.keras.build import alone
from intertwine.encoders.keras.weights import copy_weights, load_weights, mend_standardisation
from intertwine.errors import InputError
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.encoders.uri import EncoderUri
    from intertwine.encoders.weights import Weights
    from intertwine.numerics.arrays import Array

# Seconds without an answer after which weights count as out of reach.
FETCH_TIMEOUT = 20.0


def application(keras: Any, uri: EncoderUri, asked: Weights) -> Any:
    """Return a network of `keras.applications` that makes logits, by name, `crop` and `alpha`."""
    size = uri.size("crop")
    if asked.seed is not None:
        return _make(keras, uri, size=size, seed=asked.seed)
    if asked.file is not None:
        own = _make(keras, uri)
        load_weights(own, asked.file, where=uri.where)
        mend_standardisation(keras, own)
    else:
        own = _fetch(keras, uri)
    if size in {None, tuple(own.input_shape[1:3])}:
        return own
    # Keras loads published weights into a network of their own size only.
    resized = _make(keras, uri, size=size)
    copy_weights(own, resized, where=uri.where)
    mend_standardisation(keras, resized)
    return resized


def pixel_options(keras: Any, uri: EncoderUri) -> dict[str, str]:
    """Return the options of preprocessing that do what a network's `preprocess_input` does.

    It is an affine map of channels, so black and one pixel a channel determine it.
    """
    prepare = importlib.import_module(_builder(keras, uri).__module__).preprocess_input
    # (4, 1, 1, 3): black, red, green, blue
    pixels: Array = 255 * np.eye(4, 3, k=-1).reshape(4, 1, 1, 3)
    black, *colours = np.asarray(prepare(pixels, data_format="channels_last")).reshape(4, 3)
    slopes = (np.stack(colours) - black).T / 255
    turned = slopes[0, 0] == 0
    gains = np.fliplr(slopes).diagonal() if turned else slopes.diagonal()
    # Twelve digits: what a float64 holds, without its last rounding.
    mean, std = (",".join(f"{v:.12g}" for v in values) for values in (-black / gains, 1 / gains))
    return {"channels": "bgr" if turned else "rgb", "mean": mean, "std": std}


def _builder(keras: Any, uri: EncoderUri) -> Callable[..., Any]:
    builders = {
        name: value
        for name, value in vars(keras.applications).items()
        if name[0].isupper() and inspect.isfunction(value)
    }
    if uri.path not in builders:
        raise InputError(
            f"{uri.where}: is no file, nor a network of keras.applications, "
            f"which has {', '.join(sorted(builders))}"
        )
    return builders[uri.path]


def _make(
    keras: Any,
    uri: EncoderUri,
    *,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    weights: str | None = None,
) -> Any:
    """Return a network of `keras.applications` at its own size or another."""
    builder = _builder(keras, uri)
    options: dict[str, Any] = {"weights": weights, "classifier_activation": None}
    if size is not None:
        options["input_shape"] = (*size, 3)
    alpha = uri.numbers("alpha", count=1)
    if alpha is not None:
        if "alpha" not in inspect.signature(builder).parameters or alpha[0] <= 0:
            raise InputError(
                f"{uri.where}: got alpha={uri.options['alpha']}, expected a width above 0 of a "
                "MobileNet, and none for other networks"
            )
        options["alpha"] = alpha[0]
    try:
        return alone(lambda: builder(**options), seed)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{uri.where}: Keras cannot make it ({one_line(error)})") from error


def _fetch(keras: Any, uri: EncoderUri) -> Any:
    """Return a network with the weights that Keras publishes, from its cache or fetched."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(FETCH_TIMEOUT)
    try:
        # Keras draws its progress on standard output.
        with redirect_stdout(sys.stderr):
            return _make(keras, uri, weights="imagenet")
    except InputError:
        raise
    except Exception as error:
        # Keras raises a bare Exception; its text holds the address.
        named = re.search(r"[\w.-]+\.h5\b", str(error))
        file = named.group() if named else "its file of weights"
        raise InputError(
            f"{uri.where}: Keras cannot fetch {file}; get it where there is a network and give "
            "weights=FILE, or weights=random:SEED for fresh ones"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
