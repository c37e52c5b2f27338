"""The bundled sample: real features at 8 bits, unpacked into plain feature-set folders.

One `.npz` a sample. Of each space it holds `NAME.codes` (n, d) uint8 with `NAME.scale` and
`NAME.offset` (d,), and of its head `NAME.head.codes` (K, d) int8 with `NAME.head.scale` (K,) and
`NAME.head.bias` (K,); besides `labels`, `ids`, `is_eval` (n,) and `facts`, a JSON text.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from intertwine._moved import renamed
from intertwine.errors import FileFormatError, InputError
from intertwine.spaces import Head
from intertwine.storage.files import atomic_path, read_json, sha256_file, write_bytes, write_json
from intertwine.storage.untrusted import DAMAGE, require_ordinary

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.numerics.arrays import Array
    from intertwine.parallel.progress import Progress

FILE = "imagenet.npz"
PARTS = ("fit", "eval")
FACES_FILE = "faces.npz"
SET, PAIRS = "set", "pairs.csv"
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


@renamed(say="progress")
def unpack(
    sample: Path, out: Path, *, progress: Progress | None = None
) -> tuple[Path, Path, list[str], list[str]]:
    """Unpack a sample into two plain feature-set folders, unless they are there already.

    Parameters
    ----------
    sample
        The `.npz` file.
    out
        Folder to write; `fit` and `eval` are made in it.
    progress
        Called with (what, done, total).

    Returns
    -------
    fit, evaluation
        The folders.
    controls
        The spaces that are controls.
    notes
        What a reader should know of the sample.

    Raises
    ------
    FileFormatError
        When the file is cut or altered.
    """
    digest, stamp = sha256_file(sample), out / "unpacked.json"
    if unpacked_digest(stamp) == digest and all((out / part).is_dir() for part in PARTS):
        facts = read_archive(sample, _facts)
    else:
        facts, contents = read_archive(sample, _contents)
        _write(contents, facts, out, progress or (lambda *_: None))
        write_json(stamp, {"sha256": digest})
    return out / "fit", out / "eval", facts["controls"], facts["notes"]


def unpack_faces(sample: Path, out: Path) -> tuple[Path, Path, list[str]]:
    """Unpack the faces into a plain feature-set folder and a list of pairs, unless they are there.

    Parameters
    ----------
    sample
        The `.npz` file.
    out
        Folder to write.

    Returns
    -------
    folder, pairs
        The feature set and the CSV of pairs.
    notes
        What a reader should know of the sample.

    Raises
    ------
    FileFormatError
        When the file is cut or altered.
    """
    digest, stamp = sha256_file(sample), out / "unpacked.json"
    if unpacked_digest(stamp) == digest and (out / SET).is_dir() and (out / PAIRS).is_file():
        facts = read_archive(sample, _face_facts)
    else:
        facts, faces = read_archive(sample, _faces)
        _write_faces(faces, facts, out)
        write_json(stamp, {"sha256": digest})
    return out / SET, out / PAIRS, facts["notes"]


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


@dataclass(frozen=True)
class _Contents:
    """A sample's arrays, decoded."""

    features: dict[str, Array]
    heads: dict[str, Head]
    labels: Array
    ids: list[str]
    is_eval: Array


def _contents(stored: Any) -> tuple[dict[str, Any], _Contents]:
    facts = _facts(stored)
    labels, is_eval = stored["labels"].astype(np.int64), stored["is_eval"].astype(bool)
    contents = _Contents({}, {}, labels, stored["ids"].astype(str).tolist(), is_eval)
    for name in facts["spaces"]:
        features = decode({part: stored[f"{name}.{part}"] for part in ("codes", "scale", "offset")})
        parts = {part: stored[f"{name}.head.{part}"] for part in ("codes", "scale", "bias")}
        contents.features[name] = features.astype(np.float16)
        contents.heads[name] = decode_head(parts)
    lengths = {len(labels), len(is_eval), len(contents.ids), *map(len, contents.features.values())}
    if len(lengths) > 1:
        raise ValueError(f"rows differ: {sorted(lengths)}")
    return facts, contents


def _facts(stored: Any) -> dict[str, Any]:
    facts = json.loads(str(stored["facts"]))
    return {key: facts[key] for key in ("spaces", "controls", "notes")}


def _write(contents: _Contents, facts: dict[str, Any], out: Path, progress: Progress) -> None:
    names = list(contents.features)
    for part, rows in (("fit", ~contents.is_eval), ("eval", contents.is_eval)):
        folder = out / part
        for i, name in enumerate(names):
            progress(f"unpacking {part}", i, len(names))
            save_array(folder / f"{name}.npy", contents.features[name][rows])
            contents.heads[name].save(folder / f"{name}.head.safetensors")
        save_array(folder / "labels.npy", contents.labels[rows])
        ids = "".join(f"{contents.ids[row]}\n" for row in np.flatnonzero(rows))
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
        raise ValueError(f"rows differ: {sorted(lengths)}")
    return facts, _Faces(features, person, pairs)


def _face_facts(stored: Any) -> dict[str, Any]:
    facts = json.loads(str(stored["facts"]))
    return {key: facts[key] for key in ("spaces", "notes")}


def _write_faces(faces: _Faces, facts: dict[str, Any], out: Path) -> None:
    folder = out / SET
    for name, array in faces.features.items():
        save_array(folder / f"{name}.npy", array)
    save_array(folder / "labels.npy", faces.person)
    write_bytes(folder / "ids.txt", "".join(f"{i}\n" for i in range(len(faces.person))).encode())
    write_json(
        folder / "feature_set.json",
        {"format_version": 1, "rows": len(faces.person), "spaces": facts["spaces"]},
    )
    lines = "".join(f"{a},{b},{same},{fold}\n" for a, b, same, fold in faces.pairs)
    write_bytes(out / PAIRS, lines.encode())


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
