"""The bundled sample: real features at 8 bits, unpacked into plain feature-set folders.

One `.npz` a sample. Of each space it holds `NAME.codes` (n, d) uint8 with `NAME.scale` and
`NAME.offset` (d,), and of its head `NAME.head.codes` (K, d) int8 with `NAME.head.scale` (K,) and
`NAME.head.bias` (K,); besides `labels`, `ids`, `is_eval` (n,) and `facts`, a JSON text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.features.packed import (
    decode,
    decode_head,
    read_archive,
    save_array,
    unpacked_digest,
)
from intertwine.files import sha256_file, write_bytes, write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intertwine.arrays import Array
    from intertwine.spaces import Head

FILE = "imagenet.npz"
PARTS = ("fit", "eval")


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
    if unpacked_digest(stamp) == digest and all((out / part).is_dir() for part in PARTS):
        facts = read_archive(sample, _facts)
    else:
        facts, contents = read_archive(sample, _contents)
        _write(contents, facts, out, say or (lambda *_: None))
        write_json(stamp, {"sha256": digest})
    return out / "fit", out / "eval", facts["controls"], facts["notes"]


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
            save_array(folder / f"{name}.npy", contents.features[name][rows])
            contents.heads[name].save(folder / f"{name}.head.safetensors")
        save_array(folder / "labels.npy", contents.labels[rows])
        ids = "".join(f"{contents.ids[row]}\n" for row in np.flatnonzero(rows))
        write_bytes(folder / "ids.txt", ids.encode())
        write_json(
            folder / "feature_set.json",
            {"format_version": 1, "rows": int(rows.sum()), "spaces": facts["spaces"]},
        )
        say(f"unpacking {part}", len(names), len(names))
