"""The files of a feature set besides its arrays: manifest, ids, classes and labels."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.numerics.arrays import to_numpy
from intertwine.spaces import Head, check_space_name
from intertwine.storage.files import atomic_path, cannot_write, read_json, write_bytes
from intertwine.storage.untrusted import require_shape
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MANIFEST = "feature_set.json"
FORMAT_VERSION = 1
# Rows as (start, stop).
RANGE = [int]
# The facts of one space: the command that reads one relies on its kind.
SPACE_FACTS = {
    "complete?": [RANGE],
    "dim?": int,
    "dtype?": str,
    "encoder?": (str, None),
    "fingerprint?": (str, None),
    "weights_sha256?": (str, None),
    "preprocessing?": (str, dict, None),
    "parameters?": (int, None),
    "reported_top1?": (float, None),
    "paper_top1?": (float, None),
    "precision?": (str, None),
    "crop?": ([int], None),
    "notes?": [str],
}
BAD = [{"id": str, "reason": str}]
# The manifest, and the journal of one of several writers.
SHAPE = {
    "format_version?": int,
    "rows?": int,
    "ids_sha256?": (str, None),
    "input?": dict,
    "spaces": {"*": SPACE_FACTS},
    "bad?": BAD,
    "left_out?": BAD,
    "renames?": [str],
}
# Surrogates, which represent the bytes of a file's name that are no UTF-8.
_NO_TEXT = re.compile("[\ud800-\udfff]")
DTYPES = ("float16", "float32", "float64")


@dataclass(frozen=True)
class SpaceRecord:
    """The facts about one space of a feature set.

    `dtype` is the type in which its features are stored. `facts` are about its origin: `encoder`,
    `fingerprint`, `weights_sha256`, `preprocessing`, `parameters`, `reported_top1`, `paper_top1`,
    `precision`, `crop`.
    """

    name: str
    dim: int
    dtype: str = "float16"
    head: Head | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_space_name(self.name)
        if self.dtype not in DTYPES:
            raise InputError(f"got dtype {self.dtype!r}, expected one of {', '.join(DTYPES)}")


def check_same(folder: Path, record: SpaceRecord, stored: Mapping[str, Any]) -> None:
    """Raise InputError when a set's space of this name has other facts, or another head."""
    described = {"dim": record.dim, "dtype": record.dtype}
    described["fingerprint"] = record.facts.get("fingerprint")
    for key, value in described.items():
        if stored.get(key) != value:
            raise InputError(
                f"{folder}: space {record.name} has {key} {stored.get(key)}, got {value}; "
                "give the encoder and options it was made with, another name=, or a new folder"
            )
    head_file = folder / f"{record.name}.head.safetensors"
    old = Head.load(head_file).fingerprint() if head_file.exists() else None
    new = None if record.head is None else record.head.fingerprint()
    if old is not None and old != new:
        raise InputError(
            f"{folder}: space {record.name} has another head; give the options it was made "
            "with (head=, layer=, background=), another name=, or a new folder"
        )


def left_out(folder: Path) -> list[str]:
    """Return the ids of the images that were left out of a set, in order."""
    if not (folder / MANIFEST).exists():
        return []
    return [entry["id"] for entry in read_manifest(folder / MANIFEST).get("left_out", ())]


def is_line(value: str) -> bool:
    """Return whether text can be a line of a file; the name of a file may not be."""
    # What str.splitlines cuts at, readers may cut at too.
    return value.splitlines() == [value] and not _NO_TEXT.search(value)


def ids_text(ids: Sequence[str], n: int, path: Path) -> bytes:
    """Return the bytes of ids.txt.

    InputError when there are not n ids, one repeats, is empty, or cannot be a line.
    """
    if len(ids) != n:
        raise InputError(f"{path}: got {counted(len(ids), 'id')}, expected {n}, one a row")
    seen: set[str] = set()
    for row, value in enumerate(ids):
        if not is_line(value):
            raise InputError(f"{path}: row {row}: got id {value!r}, expected text on one line")
        if value in seen:
            raise InputError(f"{path}: the id {value!r} repeats")
        seen.add(value)
    return "".join(f"{value}\n" for value in ids).encode()


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest that this version can continue; InputError for any other."""
    manifest = read_json(path)
    if isinstance(manifest, dict) and "spaces" in manifest:
        require_shape(manifest, SHAPE, path)
    known = isinstance(manifest, dict) and manifest.get("format_version") == FORMAT_VERSION
    if not known or not manifest.keys() >= {"rows", "ids_sha256", "spaces"}:
        raise InputError(
            f"{path}: not written by intertwine extract of this version; choose a new folder"
        )
    return dict(manifest)


def place_once(temporary: Path, path: Path) -> bool:
    """Move a file to a name, unless another process was first; return whether this one did.

    The whole temporary file is in the same folder; it is removed in either case.
    """
    try:
        # Unlike a rename, a link fails where the name exists, on network file systems too.
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def create_once(path: Path, data: bytes) -> bool:
    """Write a whole file unless it exists; return whether this process did."""
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
    """Write ids.txt if there are ids."""
    _write_changed(folder / "ids.txt", text)


def write_classes(folder: Path, classes: Sequence[str] | None) -> None:
    """Write classes.txt, one class a line, if there are classes."""
    if classes is not None:
        _write_changed(folder / "classes.txt", "".join(f"{name}\n" for name in classes).encode())


def write_labels(folder: Path, labels: Any, n: int) -> None:
    """Write labels.npy, if there are labels.

    InputError when they are not n integers, or differ from those that the folder holds.
    """
    if labels is None:
        return
    file, array = folder / "labels.npy", to_numpy(labels)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise InputError(
            f"{folder}: got labels {array.dtype} {array.shape}, expected integers ({n},)"
        )
    values = array.astype(np.int64)
    if not file.exists():
        with atomic_path(file) as temporary:
            np.save(temporary, values, allow_pickle=False)
    elif not np.array_equal(np.load(file, allow_pickle=False), values):
        raise InputError(f"{folder}: the labels differ from those it holds; choose a new folder")


def _write_changed(path: Path, data: bytes | None) -> None:
    if data is not None and not (path.is_file() and path.read_bytes() == data):
        write_bytes(path, data)
