"""Checkpoints of a run, an entry a file: the same run after a kill continues from them."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from intertwine.errors import FileFormatError
from intertwine.storage.files import read_json, read_tensors, write_json, write_tensors
from intertwine.storage.untrusted import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    Array = npt.NDArray[Any]

T = TypeVar("T")

KIND = "checkpoint"
# Characters of an entry's name that go into its file's; longer names end in a digest.
LONGEST_NAME = 100
_ENTRY = re.compile(r".+?-([0-9a-f]{16})-.+\.(json|safetensors)")


def run_key(facts: Any, *arrays: Array) -> str:
    """Return the key of a run: a hash of JSON-ready facts and of the bytes of arrays."""
    digest = hashlib.sha256(json.dumps(facts).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Checkpoints:
    """Finished work of one run; an entry that is absent, damaged or of another run reads as None.

    Parameters
    ----------
    folder
        Created when first written to.
    key
        Of the run, from `run_key`.
    stage
        Part of the run; files' names begin with it.
    """

    folder: Path
    key: str
    stage: str = "main"

    def at(self, stage: str) -> Checkpoints:
        """Return the checkpoints of another part of the same run."""
        return replace(self, stage=stage)

    def path(self, name: str, suffix: str = ".safetensors") -> Path:
        """Return the file of an entry."""
        if len(name) > LONGEST_NAME:
            name = f"{name[:LONGEST_NAME]}~{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        return self.folder / f"{self.stage}-{self.key}-{name}{suffix}"

    def files(self, suffix: str = ".safetensors") -> Iterator[Path]:
        """Yield the files of this run and stage, whole or not."""
        return self.folder.glob(f"{self.stage}-{self.key}-*{suffix}")

    def get(self, name: str, parse: Callable[[Any], Any] = lambda value: value) -> Any:
        """Return what `parse` makes of a JSON value that `save` wrote, or None."""
        return _whole(lambda path: parse(_read_value(path)), self.path(name, ".json"))

    def save(self, name: str, value: Any) -> None:
        """Write a JSON-ready value with its digest, atomically."""
        write_json(self.path(name, ".json"), {"value": value, "sha256": _digest(value)})

    def get_tensors(
        self, name: str, parse: Callable[[dict[str, Array], dict[str, Any]], T]
    ) -> T | None:
        """Return what `parse` makes of tensors and header that `save_tensors` wrote, or None."""
        return _whole(lambda path: parse(*read_tensors(path, kind=KIND)), self.path(name))

    def save_tensors(self, name: str, tensors: Mapping[str, Array], header: dict[str, Any]) -> None:
        """Write tensors and a JSON-ready header with their digest, atomically."""
        write_tensors(self.path(name), tensors, kind=KIND, header=header)

    def load(self, name: str, read: Callable[[Path], T]) -> T | None:
        """Return what `read` makes of an entry's file, which the caller wrote at `path`, or None."""
        return _whole(read, self.path(name))

    def clear(self) -> None:
        """Remove what other runs left in the folder, of whatever stage."""
        for file in self.folder.glob("*"):
            entry = _ENTRY.fullmatch(file.name)
            if entry is not None and entry[1] != self.key:
                with suppress(OSError):
                    file.unlink()


def _whole(read: Callable[[Path], T], path: Path) -> T | None:
    try:
        return read(path)
    except (FileFormatError, *DAMAGE):
        return None


def _read_value(path: Path) -> Any:
    stored = read_json(path)
    if _digest(stored["value"]) != stored["sha256"]:
        raise FileFormatError(f"{path}: its checksum does not match; the file was altered")
    return stored["value"]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
