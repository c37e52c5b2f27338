"""Embedding spaces and the linear classifiers (heads) that read them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from intertwine.errors import FileFormatError, InputError, SpaceMismatchError
from intertwine.storage.files import sha256_tensors, write_bytes
from intertwine.storage.untrusted import DAMAGE, require_ordinary
from intertwine.wording import one_line

if TYPE_CHECKING:
    import os

    from intertwine.numerics.arrays import Array

_NAME = re.compile(r"[A-Za-z0-9._-]+")
# What a file records of a space.
SPACE = {"name": str, "dim": int, "fingerprint?": (str, None)}


def check_space_name(name: str) -> str:
    """Return a space's name; InputError if it could not be part of a file's name or a pair's.

    It has letters, digits, `.`, `_`, `-`, no leading `.` and no `--`.
    """
    if not _NAME.fullmatch(name) or "--" in name or name.startswith("."):
        raise InputError(
            f"got space name {name!r}, expected letters, digits, '.', '_' and '-' only, "
            "no leading '.' and no '--'"
        )
    return name


@dataclass(frozen=True)
class Space:
    """One embedding space.

    Parameters
    ----------
    name
        Its name: letters, digits, `.`, `_`, `-`.
    dim
        Its dimension d.
    fingerprint
        What the encoder was, as a hash of weights and preprocessing; None when unknown.
    """

    name: str
    dim: int
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        check_space_name(self.name)
        if self.dim < 1:
            raise InputError(f"space {self.name}: got dimension {self.dim}, expected at least 1")

    def to_json(self) -> dict[str, Any]:
        """Return the space as JSON-ready values."""
        return {"name": self.name, "dim": self.dim, "fingerprint": self.fingerprint}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Space:
        """Return the space that `to_json` described."""
        return cls(str(value["name"]), int(value["dim"]), value.get("fingerprint"))

    def require(self, other: Space) -> None:
        """Raise when another space is not this one.

        Raises
        ------
        SpaceMismatchError
            When the name, the dimension or a fingerprint known on both sides differs.
        """
        if (self.name, self.dim) != (other.name, other.dim):
            raise SpaceMismatchError(
                f"got space {other.name} of dimension {other.dim}, "
                f"expected {self.name} of dimension {self.dim}"
            )
        if self.fingerprint and other.fingerprint and self.fingerprint != other.fingerprint:
            raise SpaceMismatchError(
                f"space {self.name}: got encoder fingerprint {other.fingerprint[:12]}, expected "
                f"{self.fingerprint[:12]}; the features come from another network or preprocessing"
            )


@dataclass(frozen=True)
class Head:
    """The linear classifier after the features: logits = features · weightᵀ + bias.

    Parameters
    ----------
    weight
        (K, d) floating-point array.
    bias
        (K,) floating-point array; zeros when omitted.
    classes
        (K,) labels of the K logits; 0 … K−1 when omitted.
    """

    weight: Array
    bias: Array = field(default_factory=lambda: np.zeros(0))
    classes: Array = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            raise InputError(f"head: got weight of shape {self.weight.shape}, expected (K, d)")
        n_classes = self.weight.shape[0]
        defaults = {"bias": np.zeros(n_classes), "classes": np.arange(n_classes)}
        for name, default in defaults.items():
            value = getattr(self, name)
            if value.size == 0:
                object.__setattr__(self, name, default)
            elif value.shape != (n_classes,):
                raise InputError(
                    f"head: got {name} of shape {value.shape}, expected ({n_classes},)"
                )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise InputError("head: NaN or infinite weights")
        if np.unique(self.classes).size != n_classes:
            raise InputError("head: a class repeats in classes")

    @property
    def dim(self) -> int:
        """Dimension d of the features it reads."""
        return int(self.weight.shape[1])

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return int(self.weight.shape[0])

    def fingerprint(self) -> str:
        """Return a SHA-256 of the weights, biases and classes."""
        return sha256_tensors(self._tensors(), {})

    def logits(self, features: Array) -> Array:
        """Return the (n, K) float64 logits of (n, d) features."""
        logits: Array = np.asarray(features, np.float64) @ np.asarray(self.weight, np.float64).T
        return logits + np.asarray(self.bias, np.float64)

    def _tensors(self) -> dict[str, Array]:
        return {"weight": self.weight, "bias": self.bias, "classes": self.classes}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the head as safetensors with `weight`, `bias` and `classes`."""
        tensors = {name: np.ascontiguousarray(value) for name, value in self._tensors().items()}
        write_bytes(path, save(tensors))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Head:
        """Read a head from safetensors.

        Raises
        ------
        FileFormatError
            When the file is not safetensors or holds no `weight`.
        InputError
            When shapes disagree or a weight is not finite.
        """
        require_ordinary(path)
        try:
            tensors = load_file(str(path))
        except (OSError, SafetensorError, *DAMAGE) as error:
            raise FileFormatError(
                f"{path}: not a readable safetensors file ({one_line(error)})"
            ) from error
        if "weight" not in tensors:
            raise FileFormatError(f"{path}: holds no tensor named weight")
        # If another library added such dtypes to NumPy they are read, but not as numbers.
        foreign = [name for name, tensor in tensors.items() if tensor.dtype.kind not in "fiu"]
        if foreign:
            dtype = tensors[foreign[0]].dtype
            raise FileFormatError(
                f"{path}: not a readable safetensors file ({foreign[0]} is {dtype}, "
                "expected float16, float32 or float64)"
            )
        others = {name: tensors[name] for name in ("bias", "classes") if name in tensors}
        try:
            return cls(tensors["weight"], **others)
        except InputError as error:
            raise InputError(f"{Path(path).name}: {error}") from error
