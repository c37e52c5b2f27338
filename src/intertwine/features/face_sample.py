"""The bundled faces: embeddings of unnamed people at 8 bits, and pairs of them in folds.

One `.npz`. Of each space it holds `NAME.codes` (n, d) uint8 with `NAME.scale` and `NAME.offset`
(d,); besides `person` (n,), `first`, `second`, `same`, `fold` (n_pairs,) and `facts`, a JSON text.
Rows, people and pairs are numbered at random; what leads back to names was not kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.features.packed import decode, read_archive, save_array, unpacked_digest
from intertwine.files import sha256_file, write_bytes, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.arrays import Array

FILE = "faces.npz"
SET, PAIRS = "set", "pairs.csv"


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
        facts = read_archive(sample, _facts)
    else:
        facts, faces = read_archive(sample, _faces)
        _write(faces, facts, out)
        write_json(stamp, {"sha256": digest})
    return out / SET, out / PAIRS, facts["notes"]


@dataclass(frozen=True)
class _Faces:
    """The sample's arrays, decoded."""

    features: dict[str, Array]
    person: Array
    pairs: Array


def _facts(stored: Any) -> dict[str, Any]:
    facts = json.loads(str(stored["facts"]))
    return {key: facts[key] for key in ("spaces", "notes")}


def _faces(stored: Any) -> tuple[dict[str, Any], _Faces]:
    facts, person = _facts(stored), stored["person"].astype(np.int64)
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


def _write(faces: _Faces, facts: dict[str, Any], out: Path) -> None:
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
