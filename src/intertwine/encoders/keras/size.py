"""Whether a saved Keras model describes no more weights than its file holds.

Layers make their weights before those of the file are put in, so a few bytes could ask for all memory.
"""

from __future__ import annotations

import json
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from intertwine.encoders.keras.weights import INNER
from intertwine.errors import FileFormatError
from intertwine.extras import import_extra
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

# What Keras raises for a file that is no model, or one of layers that it lacks.
FAILURES = (
    AttributeError,
    ImportError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)
_CONFIG = "config.json"
# Numbers of a layer's settings of which each stands for a weight at least.
_WIDTHS = ("filters", "input_dim", "output_dim", "units")
# What deflate can shrink bytes by at most.
_SHRUNK = 1032


def check_size(keras: Any, path: str) -> None:
    """Raise when the layers of a saved model, `.keras` or `.h5`, have more weights than its file.

    A file that cannot be read so far is left to Keras, whose error names what is wrong with it.
    """
    try:
        with _opened(path) as (config, weights):
            held = _elements(weights, path)
            asked = max(_widths(config), default=0) if held else 0
            if asked <= held and zipfile.is_zipfile(path):
                # Without memory: what is there on this device has a shape and nothing else.
                with keras.device("meta"):
                    model = keras.saving.deserialize_keras_object(config, safe_mode=True)
                asked = model.count_params()
    except FAILURES:
        return
    if asked > held:
        raise _too_large(path, asked, held)


def _too_large(path: str, asked: int, held: int) -> FileFormatError:
    return FileFormatError(
        f"{path}: its layers have at least {counted(asked, 'weight')}, but it holds {held}; damaged or hostile, "
        "fetch it again"
    )


@contextmanager
def _opened(path: str) -> Iterator[tuple[Any, Any]]:
    """Open the settings and the weights of a saved model."""
    h5py: Any = import_extra("h5py", "keras")
    if not zipfile.is_zipfile(path):
        with h5py.File(path) as file:
            yield json.loads(file.attrs["model_config"]), file
        return
    with (
        zipfile.ZipFile(path) as archive,
        archive.open(INNER) as inner,
        h5py.File(inner) as file,
    ):
        yield json.loads(archive.read(_CONFIG)), file


def _elements(file: Any, path: str) -> int:
    """Return the number of elements in all arrays of an HDF5 file, whose bytes must be there."""
    h5py: Any = import_extra("h5py", "keras")
    sets: list[Any] = []
    file.visititems(lambda _, item: sets.append(item) if isinstance(item, h5py.Dataset) else None)
    if sum(one.nbytes for one in sets) > _SHRUNK * sum(one.id.get_storage_size() for one in sets):
        raise _too_large(path, sum(one.size for one in sets), 0)
    return sum(int(one.size) for one in sets)


def _widths(config: Any) -> Iterator[int]:
    """Yield the widths that settings of layers name, at any depth."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key in _WIDTHS and type(value) is int:
                yield value
            else:
                yield from _widths(value)
    elif isinstance(config, list):
        for value in config:
            yield from _widths(value)
