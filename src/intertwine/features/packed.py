"""What the bundled samples share: arrays at 8 bits in one checked `.npz`, unpacked once."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.files import atomic_path, read_json
from intertwine.spaces import Head
from intertwine.untrusted import DAMAGE, require_ordinary

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.arrays import Array

# What reading a damaged archive can raise.
_DAMAGE = (zipfile.BadZipFile, OSError, RuntimeError, *DAMAGE)
_T = TypeVar("_T")


def find_sample(name: str, path: Path | None = None, *, option: str = "--sample") -> Path:
    """Return a sample file: the one given, or the one in this checkout.

    Parameters
    ----------
    name
        Its name in the checkout.
    path
        The one given.
    option
        What gives it on the command line, for the error.

    Raises
    ------
    InputError
        When it is not there, as in an installation without the checkout.
    """
    checkout = Path(__file__).parents[3] / "sample" / name
    found = path or (Path("sample") / name if (Path("sample") / name).is_file() else checkout)
    if not found.is_file():
        raise InputError(
            f"no sample at {found}: it comes with a checkout of the repository, not with the "
            f"package; give its path with {option}"
        )
    return found


def encode(features: Array) -> dict[str, Array]:
    """Return features at 8 bits, each column on its own scale.

    Parameters
    ----------
    features
        (n, d) floating point.

    Returns
    -------
    parts
        codes (n, d) uint8, scale and offset (d,) float32: features ≈ codes · scale + offset.
    """
    low, high = features.min(axis=0).astype(np.float32), features.max(axis=0).astype(np.float32)
    scale = np.where(high > low, (high - low) / 255, 1).astype(np.float32)
    return {
        "codes": np.rint((features - low) / scale).astype(np.uint8),
        "scale": scale,
        "offset": low,
    }


def decode(parts: dict[str, Array]) -> Array:
    """Return the features that `encode` packed, (n, d) float32."""
    return np.asarray(parts["codes"] * parts["scale"] + parts["offset"], np.float32)


def encode_head(head: Head) -> dict[str, Array]:
    """Return a head at 8 bits, each class on its own scale."""
    weight = np.asarray(head.weight, np.float32)
    scale = np.maximum(np.abs(weight).max(axis=1), 1e-12) / 127
    codes = np.rint(weight / scale[:, None]).astype(np.int8)
    return {"codes": codes, "scale": scale.astype(np.float32), "bias": head.bias.astype(np.float32)}


def decode_head(parts: dict[str, Array]) -> Head:
    """Return the head that `encode_head` packed, in float32."""
    return Head(parts["codes"] * parts["scale"][:, None], parts["bias"])


def unpacked_digest(stamp: Path) -> str | None:
    """Return the digest of the sample that was unpacked, if one was."""
    try:
        return str(read_json(stamp)["sha256"])
    except (FileFormatError, *DAMAGE):
        return None


def read_archive(sample: Path, read: Callable[[Any], _T]) -> _T:
    """Return what `read` makes of the archive, none of whose bytes is trusted."""
    require_ordinary(sample)
    try:
        with sample.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return read(stored)
    except _DAMAGE as error:
        raise FileFormatError(f"{sample}: not a whole sample ({error})") from error


def save_array(path: Path, array: Array) -> None:
    """Write an array as a `.npy`, whole or not at all."""
    with atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)
