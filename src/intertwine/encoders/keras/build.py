"""Keras on its torch backend, and models made with it: saved ones, and any, alone."""

from __future__ import annotations

import os
import random
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from intertwine.encoders.keras.size import FAILURES, check_size
from intertwine.encoders.keras.weights import load_weights
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intertwine.encoders.uri import EncoderUri
    from intertwine.encoders.weights import Weights

EXTRA = "keras"
BACKEND = "torch"


def import_keras(where: str) -> Any:
    """Return Keras on its torch backend; an error where it runs, or is set to run, on another."""
    asked = os.environ.setdefault("KERAS_BACKEND", BACKEND)
    loaded = sys.modules.get("keras")
    backend = asked if loaded is None else loaded.backend.backend()
    if backend != BACKEND:
        raise InputError(
            f"{where}: Keras runs on {backend}, expected {BACKEND}; set the environment variable "
            f"KERAS_BACKEND={BACKEND} before the program starts"
        )
    return import_extra("keras", EXTRA)


def saved_model(keras: Any, uri: EncoderUri, asked: Weights) -> Any:
    """Return the model in a file, with the weights that are asked for in place of its own.

    A file is refused that holds code, describes a larger model than it holds, or has no graph.
    """
    if "alpha" in uri.options:
        raise InputError(f"{uri.where}: got alpha, which is for networks by name; leave it out")
    try:
        alone(lambda: check_size(keras, uri.path))
        model = alone(lambda: keras.saving.load_model(uri.path, compile=False, safe_mode=True))
    except FAILURES as error:
        if "lambda" in str(error).lower():
            raise FileFormatError(
                f"{uri.path}: holds a Lambda layer, which is Python code, and no code in a file is "
                "run; save the model with layers of Keras in its place"
            ) from error
        raise FileFormatError(
            f"{uri.path}: not a model that Keras can read ({one_line(error)})"
        ) from error
    if not getattr(model, "outputs", None):
        raise InputError(
            f"{uri.where}: holds no graph of layers from an input to an output, expected a "
            "functional or sequential model, built"
        )
    if asked.seed is not None:
        model = alone(lambda: keras.models.clone_model(model), asked.seed)
    if asked.file is not None:
        load_weights(model, asked.file, where=uri.where)
    return model


def alone(make: Callable[[], Any], seed: int = 0) -> Any:
    """Return what a function makes with Keras, the same each time whatever was made before."""
    # Keras holds its counters of layer names and its settings by thread.
    with _settings(seed), ThreadPoolExecutor(1) as pool:
        return pool.submit(make).result()


@contextmanager
def _settings(seed: int) -> Iterator[None]:
    """Hold Python's random numbers, from which Keras draws its seeds, and the order of axes."""
    config = cast("Any", sys.modules["keras"]).config
    state, order = random.getstate(), config.image_data_format()
    random.seed(seed)
    config.set_image_data_format("channels_last")
    try:
        with warnings.catch_warnings():
            # Of sizes that MobileNet was not trained at.
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        random.setstate(state)
        config.set_image_data_format(order)
