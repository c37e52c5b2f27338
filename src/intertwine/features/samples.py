"""The bundled samples: real features at 8 bits, unpacked into plain feature-set folders.

A sample is one `.npz`. Of each space it holds `NAME.codes` (n, d) uint8 with `NAME.scale` and
`NAME.offset` (d,), and `facts`, a JSON text. The one of images also holds each head,
`NAME.head.codes` (K, d) int8 with `NAME.head.scale` (K,) and `NAME.head.bias` (K,), and `labels`,
`ids` and `is_eval` (n,); the one of faces `person` (n,) and the pairs, `first`, `second`, `same`
and `fold`.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.spaces import Head
from intertwine.storage.files import (
    atomic_path,
    read_json,
    remove_folder,
    sha256_file,
    write_bytes,
    write_json,
)
from intertwine.storage.untrusted import DAMAGE, require_ordinary
from intertwine.wording import named, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.numerics.arrays import Array
    from intertwine.parallel.progress import Progress

# The samples of a checkout, the one that the package carries, and what each is unpacked into.
IMAGENET, FACES = "imagenet.npz", "faces.npz"
SMALL = Path(__file__).with_name("imagenet-small.npz")
PARTS = ("fit", "eval")
SET, PAIRS = "set", "pairs.csv"
# The label of a row that has none.
UNLABELLED = -1
# What reading a damaged archive can raise.
_DAMAGE = (zipfile.BadZipFile, OSError, RuntimeError, *DAMAGE)
_T = TypeVar("_T")


def find_sample(name: str, path: Path | None = None, *, option: str = "--sample") -> Path | None:
    """Return the path of a sample: `path`, or the file of this name in the checkout, or None.

    Without a checkout it is the small one that the package carries, where there is one. `option`
    sets the path on the command line, for the InputError where there is no such file.
    """
    if path is not None:
        if not path.is_file():
            raise InputError(
                f"no sample at {path}: give the path of sample/{name} of a checkout with {option}, or "
                "leave it out"
            )
        return path
    here, checkout = Path("sample") / name, Path(__file__).parents[3] / "sample" / name
    known = [here, checkout, *([SMALL] if name == IMAGENET else [])]
    return next((file for file in known if file.is_file()), None)


def unpack(
    sample: Path, out: Path, *, progress: Progress | None = None
) -> tuple[Path, Path, list[str], list[str]]:
    """Unpack a sample into two plain feature-set folders, unless they are there already.

    Returns the folders `fit` and `eval` in `out`, the spaces that are controls, and notes for a
    reader. FileFormatError when the file is cut or altered.
    """
    digest, stamp = sha256_file(sample), out / "unpacked.json"
    if _unpacked_digest(stamp) == digest and all((out / part).is_dir() for part in PARTS):
        facts = _read_archive(sample, _image_facts)
    else:
        facts, images = _read_archive(sample, _images)
        if stamp.exists():
            # Another sample was unpacked here, whose spaces may be others.
            for part in PARTS:
                remove_folder(out / part)
        _write_images(images, facts, out, progress or (lambda *_: None))
        write_json(stamp, {"sha256": digest})
    return out / "fit", out / "eval", facts["controls"], facts["notes"]


def unpack_faces(sample: Path, out: Path) -> tuple[Path, Path, list[str]]:
    """Unpack the faces into a feature-set folder and a list of pairs, unless they are there.

    Returns the folder, the CSV of pairs and notes for a reader. FileFormatError when the file is
    cut or altered.
    """
    digest, stamp = sha256_file(sample), out / "unpacked.json"
    if _unpacked_digest(stamp) == digest and (out / SET).is_dir() and (out / PAIRS).is_file():
        facts = _read_archive(sample, _face_facts)
    else:
        facts, faces = _read_archive(sample, _faces)
        _write_faces(faces, facts, out)
        write_json(stamp, {"sha256": digest})
    return out / SET, out / PAIRS, facts["notes"]


def encode(features: Array) -> dict[str, Array]:
    """Return (n, d) features at 8 bits, each column on its own scale.

    features ≈ codes · scale + offset, with codes (n, d) uint8, scale and offset (d,) float32.
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


@dataclass(frozen=True)
class _Images:
    """A sample's arrays, decoded."""

    features: dict[str, Array]
    heads: dict[str, Head]
    labels: Array
    ids: list[str]
    is_eval: Array


def _images(stored: Any) -> tuple[dict[str, Any], _Images]:
    facts = _image_facts(stored)
    labels, is_eval = stored["labels"].astype(np.int64), stored["is_eval"].astype(bool)
    images = _Images({}, {}, labels, stored["ids"].astype(str).tolist(), is_eval)
    for name in facts["spaces"]:
        features = decode({part: stored[f"{name}.{part}"] for part in ("codes", "scale", "offset")})
        parts = {part: stored[f"{name}.head.{part}"] for part in ("codes", "scale", "bias")}
        images.features[name] = features.astype(np.float16)
        images.heads[name] = decode_head(parts)
    lengths = {len(labels), len(is_eval), len(images.ids), *map(len, images.features.values())}
    if len(lengths) > 1:
        raise ValueError(f"rows differ: {named(sorted(lengths))}")
    return facts, images


def _image_facts(stored: Any) -> dict[str, Any]:
    return _facts(stored, "spaces", "controls", "notes")


def _write_images(images: _Images, facts: dict[str, Any], out: Path, progress: Progress) -> None:
    names = list(images.features)
    for part, rows in (("fit", ~images.is_eval), ("eval", images.is_eval)):
        folder = out / part
        for i, name in enumerate(names):
            progress(f"unpacking {part}", i, len(names))
            _save_array(folder / f"{name}.npy", images.features[name][rows])
            images.heads[name].save(folder / f"{name}.head.safetensors")
        if (images.labels[rows] != UNLABELLED).all():
            _save_array(folder / "labels.npy", images.labels[rows])
        ids = "".join(f"{images.ids[row]}\n" for row in np.flatnonzero(rows))
        write_bytes(folder / "ids.txt", ids.encode())
        write_json(
            folder / "feature_set.json",
            {"format_version": 1, "rows": int(rows.sum()), "spaces": facts["spaces"]},
        )
        progress(f"unpacking {part}", len(names), len(names))


@dataclass(frozen=True)
class _Faces:
    """The sample's arrays, decoded."""

    features: dict[str, Array]
    person: Array
    pairs: Array


def _faces(stored: Any) -> tuple[dict[str, Any], _Faces]:
    facts, person = _face_facts(stored), stored["person"].astype(np.int64)
    features = {}
    for name in facts["spaces"]:
        parts = {part: stored[f"{name}.{part}"] for part in ("codes", "scale", "offset")}
        features[name] = decode(parts).astype(np.float16)
    pairs = np.column_stack(
        [stored[name].astype(np.int64) for name in ("first", "second", "same", "fold")]
    )
    lengths = {len(person), *(len(array) for array in features.values())}
    if len(lengths) > 1 or pairs[:, :2].max() >= len(person):
        raise ValueError(f"rows differ: {named(sorted(lengths))}")
    return facts, _Faces(features, person, pairs)


def _face_facts(stored: Any) -> dict[str, Any]:
    return _facts(stored, "spaces", "notes")


def _facts(stored: Any, *keys: str) -> dict[str, Any]:
    facts = json.loads(str(stored["facts"]))
    return {key: facts[key] for key in keys}


def _write_faces(faces: _Faces, facts: dict[str, Any], out: Path) -> None:
    folder = out / SET
    for name, array in faces.features.items():
        _save_array(folder / f"{name}.npy", array)
    _save_array(folder / "labels.npy", faces.person)
    write_bytes(folder / "ids.txt", "".join(f"{i}\n" for i in range(len(faces.person))).encode())
    write_json(
        folder / "feature_set.json",
        {"format_version": 1, "rows": len(faces.person), "spaces": facts["spaces"]},
    )
    lines = "".join(f"{a},{b},{same},{fold}\n" for a, b, same, fold in faces.pairs)
    write_bytes(out / PAIRS, lines.encode())


def _unpacked_digest(stamp: Path) -> str | None:
    """Return the digest of the sample that was unpacked, or None."""
    try:
        return str(read_json(stamp)["sha256"])
    except (FileFormatError, *DAMAGE):
        return None


def _read_archive(sample: Path, read: Callable[[Any], _T]) -> _T:
    """Return the result of `read` on the archive, of which no byte is trusted."""
    require_ordinary(sample)
    try:
        with sample.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return read(stored)
    except _DAMAGE as error:
        raise FileFormatError(f"{sample}: not a whole sample ({one_line(error)})") from error


def _save_array(path: Path, array: Array) -> None:
    """Write an array as a `.npy` atomically."""
    with atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)
