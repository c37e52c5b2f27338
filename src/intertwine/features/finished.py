"""What a feature set says of its spaces, once every row of them is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.features.compaction import PENDING
from intertwine.features.journal import fold, journal_paths
from intertwine.features.record import MANIFEST, SHAPE
from intertwine.files import RowRanges, read_json
from intertwine.spaces import Head
from intertwine.untrusted import damage_is_told, require_shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_AGAIN = "run the same intertwine extract again to finish it"


def read_facts(path: Path, n: int) -> dict[str, Any]:
    """Return the manifest of a folder with what journals beside it say, `left_out` as ids.

    Parameters
    ----------
    path
        The folder; one without a manifest is somebody's own, and whole.
    n
        Rows of its arrays.

    Raises
    ------
    InputError
        When an extraction is not finished.
    FileFormatError
        When the manifest or a journal is none.
    """
    if not (path / MANIFEST).exists():
        return {"spaces": {}}
    manifest = read_json(path / MANIFEST)
    require_shape(manifest, SHAPE, path / MANIFEST)
    with damage_is_told(path / MANIFEST, "what intertwine extract writes"):
        fold(manifest, journal_paths(path))
        left = {
            name: sum(b - a for a, b in RowRanges(facts.get("complete", [[0, n]])).missing(n))
            for name, facts in manifest["spaces"].items()
        }
        bad, out = (
            [str(entry["id"]) for entry in manifest.get(key, ())] for key in ("bad", "left_out")
        )
    if PENDING in manifest:
        raise InputError(f"{path}: images are being left out of it; {_AGAIN}")
    for name, count in left.items():
        if count:
            why = f", {bad[0]} cannot be read" if bad else ""
            raise InputError(f"{path}: space {name} lacks {count} of {n} rows{why}; {_AGAIN}")
    return {**manifest, "left_out": out}


def read_heads(path: Path, dims: Mapping[str, int]) -> dict[str, Head]:
    """Return the classifiers of a folder's spaces, of those that have one.

    Parameters
    ----------
    path
        The folder.
    dims
        Dimension by space.

    Raises
    ------
    InputError
        When one reads features of another dimension.
    FileFormatError
        When a file is cut or altered.
    """
    heads = {}
    for name, dim in dims.items():
        file = path / f"{name}.head.safetensors"
        if file.exists():
            heads[name] = Head.load(file)
            if heads[name].dim != dim:
                raise InputError(
                    f"{file}: got a head of dimension {heads[name].dim}, expected {dim}"
                )
    return heads
