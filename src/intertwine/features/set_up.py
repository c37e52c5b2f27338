"""The files of a feature set that are written once: whoever is first, and again only when changed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.arrays import to_numpy
from intertwine.errors import InputError
from intertwine.files import atomic_path, cannot_write, write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence


def place_once(temporary: Path, path: Path) -> bool:
    """Give a file its name unless another process was first; say whether it was this one.

    Parameters
    ----------
    temporary
        The file, whole, in the same folder; gone afterwards.
    path
        Its name.

    Raises
    ------
    InputError
        When the folder cannot be written.
    """
    try:
        # Unlike a rename, a link fails where the name is taken, on network file systems too.
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def create_once(path: Path, data: bytes) -> bool:
    """Write a whole file unless it is there; say whether this process did.

    Raises
    ------
    InputError
        When the folder cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
    except OSError as error:
        raise cannot_write(path, error) from error
    return place_once(Path(name), path)


def write_ids(folder: Path, text: bytes | None) -> None:
    """Write ids.txt, where there are ids."""
    _write_changed(folder / "ids.txt", text)


def write_classes(folder: Path, classes: Sequence[str] | None) -> None:
    """Write classes.txt, where there are classes, one a line."""
    if classes is not None:
        _write_changed(folder / "classes.txt", "".join(f"{name}\n" for name in classes).encode())


def write_labels(folder: Path, labels: Any, n: int) -> None:
    """Write labels.npy, where there are labels.

    Raises
    ------
    InputError
        When they are no n integers, or not those that the folder holds.
    """
    if labels is None:
        return
    file, given = folder / "labels.npy", to_numpy(labels)
    if given.shape != (n,) or given.dtype.kind not in "iu":
        raise InputError(
            f"{folder}: got labels {given.dtype} {given.shape}, expected integers ({n},)"
        )
    values = given.astype(np.int64)
    if not file.exists():
        with atomic_path(file) as temporary:
            np.save(temporary, values, allow_pickle=False)
    elif not np.array_equal(np.load(file, allow_pickle=False), values):
        raise InputError(f"{folder}: the labels differ from those it holds; choose a new folder")


def _write_changed(path: Path, data: bytes | None) -> None:
    if data is not None and not (path.is_file() and path.read_bytes() == data):
        write_bytes(path, data)
