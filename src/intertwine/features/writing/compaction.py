"""Leaving rows out of a finished set, safe from a kill at any moment.

The new files are written next to the old ones. Then one manifest is written that describes the new
set and names the files still to be renamed: from then on the old set no longer counts. The next
writer that opens the folder renames what a kill left and removes the names from the manifest.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.features.writing.record import MANIFEST
from intertwine.storage.files import atomic_path, cannot_write, write_bytes, write_json
from intertwine.storage.npy import RowFile, make_array
from intertwine.storage.row_ranges import RowRanges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PENDING = "renames"
_PREFIX = ".compact-"
_COPY_BYTES = 2**24


def compact(
    folder: Path, manifest: Mapping[str, Any], ids: Sequence[str], bad: Mapping[int, str]
) -> None:
    """Leave rows out of every file of a set.

    Its files are closed and no other process writes there. `bad` holds the reason of each row that
    is left out, and `ids` the id of every row. InputError when no row would remain, or the disk is
    full: the set then is unchanged.
    """
    n, out = manifest["rows"], sorted(bad)
    if len(out) == n:
        raise InputError(
            f"{folder}: {'its only row is' if n == 1 else f'all {n} rows are'} bad, expected at least one that can be read"
        )
    runs = [(a + 1, b) for a, b in zip([-1, *out], [*out, n], strict=True) if a + 1 < b]
    renames = []
    for name, facts in manifest["spaces"].items():
        if (folder / f"{name}.npy").exists():
            _copy_rows(folder, f"{name}.npy", facts, n, runs)
            renames.append(f"{name}.npy")
    remaining = "".join(
        f"{ids[row]}\n" for start, stop in runs for row in range(start, stop)
    ).encode()
    write_bytes(folder / f"{_PREFIX}ids.txt", remaining)
    renames.append("ids.txt")
    if (folder / "labels.npy").exists():
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        with atomic_path(folder / f"{_PREFIX}labels.npy") as temporary:
            np.save(temporary, np.delete(labels, out), allow_pickle=False)
        renames.append("labels.npy")
    left_out = [{"id": ids[row], "reason": bad[row]} for row in out]
    smaller = {**_described(manifest, out, remaining, left_out), PENDING: renames}
    write_json(folder / MANIFEST, smaller)
    finish(folder, smaller)


def finish(folder: Path, manifest: dict[str, Any]) -> None:
    """Rename the files that a compaction still has to rename, or remove those of one that failed.

    The names are removed from the manifest.
    """
    try:
        for name in manifest.get(PENDING, ()):
            fresh = folder / f"{_PREFIX}{name}"
            # An absent one was renamed before the kill.
            if fresh.exists():
                fresh.replace(folder / name)
        for stale in folder.glob(f"{_PREFIX}*"):
            stale.unlink()
    except OSError as error:
        raise cannot_write(folder, error) from error
    if manifest.pop(PENDING, None) is not None:
        write_json(folder / MANIFEST, manifest)


def _copy_rows(
    folder: Path, name: str, facts: Mapping[str, Any], n: int, runs: Sequence[tuple[int, int]]
) -> None:
    """Write a copy of a space's array with some runs of its rows, in bounded memory."""
    dim, dtype = facts["dim"], facts["dtype"]
    n_kept = sum(stop - start for start, stop in runs)
    temporary = make_array(folder / f"{_PREFIX}{name}", (n_kept, dim), dtype)
    with (
        RowFile(folder / name, n, dim, dtype) as old,
        RowFile(temporary, n_kept, dim, dtype) as new,
    ):
        step, written = max(1, _COPY_BYTES // old.row_bytes), 0
        for start, stop in runs:
            for first in range(start, stop, step):
                rows = old.read(first, min(stop, first + step))
                new.write(written, rows)
                written += len(rows)
        new.sync()
    temporary.replace(folder / f"{_PREFIX}{name}")


def _described(
    manifest: Mapping[str, Any],
    out: Sequence[int],
    ids: bytes,
    left_out: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Return the manifest of the smaller set."""
    spaces = {}
    for name, facts in manifest["spaces"].items():
        moved = [(a - bisect_left(out, a), b - bisect_left(out, b)) for a, b in facts["complete"]]
        spaces[name] = {**facts, "complete": RowRanges(moved).to_list()}
    gone = {entry["id"] for entry in left_out}
    bad = [entry for entry in manifest.get("bad", ()) if entry["id"] not in gone]
    smaller = {
        **manifest,
        "rows": manifest["rows"] - len(out),
        "ids_sha256": hashlib.sha256(ids).hexdigest(),
        "spaces": spaces,
        "bad": bad,
        "left_out": [*manifest.get("left_out", ()), *left_out],
    }
    return smaller if bad else {key: value for key, value in smaller.items() if key != "bad"}
