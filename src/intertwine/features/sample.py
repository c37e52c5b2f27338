"""The bundled sample: real features at 8 bits, unpacked into plain feature-set folders.

One `.npz` a sample. Of each space it holds `NAME.codes` (n, d) uint8 with `NAME.scale` and
`NAME.offset` (d,), and of its head `NAME.head.codes` (K, d) int8 with `NAME.head.scale` (K,) and
`NAME.head.bias` (K,); besides `labels`, `ids`, `is_eval` (n,) and `facts`, a JSON text.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.files import atomic_path, read_json, sha256_file, write_bytes, write_json
from intertwine.spaces import Head

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.arrays import Array

FILE = "imagenet.npz"
PARTS = ("fit", "eval")

# What reading a damaged archive can raise.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
_T = TypeVar("_T")


def find_sample(path: Path | None = None) -> Path:
    """Return the sample file: the one given, or the one in this checkout.

    Raises
    ------
    InputError
        When it is not there, as in an installation without the checkout.
    """
    checkout = Path(__file__).parents[3] / "sample" / FILE
    found = path or (Path("sample") / FILE if (Path("sample") / FILE).is_file() else checkout)
    if not found.is_file():
        raise InputError(
            f"no sample at {found}: it comes with a checkout of the repository, not with the "
            "package; give its path with --sample"
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


def unpack(
    sample: Path, out: Path, *, say: Callable[[str, int, int], None] | None = None
) -> tuple[Path, Path, list[str], list[str]]:
    """Unpack a sample into two plain feature-set folders, unless they are there already.

    Parameters
    ----------
    sample
        The `.npz` file.
    out
        Folder to write; `fit` and `eval` are made in it.
    say
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
    if _unpacked(stamp) == digest and all((out / part).is_dir() for part in PARTS):
        facts = _read(sample, _facts)
    else:
        facts, contents = _read(sample, _contents)
        _write(contents, facts, out, say or (lambda *_: None))
        write_json(stamp, {"sha256": digest})
    return out / "fit", out / "eval", facts["controls"], facts["notes"]


def _unpacked(stamp: Path) -> str | None:
    """Return the digest of the sample that was unpacked, if one was."""
    try:
        return str(read_json(stamp)["sha256"])
    except (FileFormatError, KeyError, TypeError):
        return None


def _read(sample: Path, read: Callable[[Any], _T]) -> _T:
    """Return what `read` makes of the archive, none of whose bytes is trusted."""
    try:
        with sample.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return read(stored)
    except _DAMAGE as error:
        raise FileFormatError(f"{sample}: not a whole sample ({error})") from error


def _facts(stored: Any) -> dict[str, Any]:
    facts = json.loads(str(stored["facts"]))
    return {key: facts[key] for key in ("spaces", "controls", "notes")}


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


def _write(
    contents: _Contents, facts: dict[str, Any], out: Path, say: Callable[[str, int, int], None]
) -> None:
    names = list(contents.features)
    for part, rows in (("fit", ~contents.is_eval), ("eval", contents.is_eval)):
        folder = out / part
        for i, name in enumerate(names):
            say(f"unpacking {part}", i, len(names))
            _save(folder / f"{name}.npy", contents.features[name][rows])
            contents.heads[name].save(folder / f"{name}.head.safetensors")
        _save(folder / "labels.npy", contents.labels[rows])
        ids = "".join(f"{contents.ids[row]}\n" for row in np.flatnonzero(rows))
        write_bytes(folder / "ids.txt", ids.encode())
        write_json(
            folder / "feature_set.json",
            {"format_version": 1, "rows": int(rows.sum()), "spaces": facts["spaces"]},
        )
        say(f"unpacking {part}", len(names), len(names))


def _save(path: Path, array: Array) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)
