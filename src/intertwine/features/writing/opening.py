"""Opening the ledger of a set: its locks, what a kill left, and what others have filled."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.features.writing.compaction import PENDING, finish
from intertwine.features.writing.journal import journal_paths, read_with_journals
from intertwine.features.writing.ledger import FillLedger, Ledger
from intertwine.features.writing.record import FORMAT_VERSION, MANIFEST, create_once, read_manifest
from intertwine.storage.files import json_bytes
from intertwine.storage.locks import ROWS_FILE, lock_folder, lock_rows
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def open_ledger(
    folder: Path,
    n: int,
    ids: bytes | None,
    *,
    source: Mapping[str, Any],
    fill: tuple[int, int] | None = None,
) -> Ledger:
    """Open the ledger of a set of n rows, made when absent, and hold its folder.

    `ids` are the bytes of ids.txt, `source` what the rows came from, `fill` the rows to fill while
    other processes fill others (None: all rows, by one writer). InputError when the folder holds
    other arrays or rows, another process holds it or these rows, or it cannot be written.
    """
    fresh = {
        "format_version": FORMAT_VERSION,
        "rows": n,
        "ids_sha256": None if ids is None else hashlib.sha256(ids).hexdigest(),
        "input": dict(source),
        "spaces": {},
    }
    with ExitStack() as held:
        held.callback(lock_folder(folder, shared=fill is not None).close)
        if fill is None:
            ledger: Ledger = _open_whole(folder, fresh, held)
        else:
            held.callback(lock_rows(folder, *fill).close)
            ledger = _open_part(folder, fresh, range(*fill))
        ledger.hold(held.pop_all())
    return ledger


def _open_whole(folder: Path, fresh: dict[str, Any], held: ExitStack) -> Ledger:
    """Open a set for its only writer, who merges what kills and other processes left."""
    if (folder / ROWS_FILE).exists():
        held.callback(lock_rows(folder, 0, 0).close)
    begun = (folder / MANIFEST).exists()
    if begun:
        finish(folder, read_manifest(folder / MANIFEST))
    else:
        _refuse_foreign(folder)
    for stale in folder.glob(".tmp-*"):
        stale.unlink(missing_ok=True)
    manifest = read_with_journals(folder) if begun else fresh
    _check_rows(folder, fresh, manifest)
    ledger = Ledger(folder, manifest, range(fresh["rows"]))
    journals = journal_paths(folder)
    if journals or not begun:
        # First, so that a run killed right after it finds a folder that is its own.
        ledger.save()
    for path in (*journals, folder / ROWS_FILE):
        path.unlink(missing_ok=True)
    return ledger


def _open_part(folder: Path, fresh: dict[str, Any], rows: range) -> FillLedger:
    """Open a set for a process that fills some rows and changes no file but its own."""
    if not (folder / MANIFEST).exists():
        try:
            _refuse_foreign(folder)
        except InputError:
            # Another process may have set the folder up just now.
            if not (folder / MANIFEST).exists():
                raise
        create_once(folder / MANIFEST, json_bytes(fresh))
    manifest = read_with_journals(folder)
    if PENDING in manifest:
        raise InputError(
            f"{folder}: was left half-way through leaving images out; run the command without "
            "--fill first"
        )
    _check_rows(folder, fresh, manifest)
    return FillLedger(folder, manifest, rows)


def _refuse_foreign(folder: Path) -> None:
    for file in sorted([*folder.glob("*.npy"), *folder.glob("ids.txt")]):
        raise InputError(
            f"{folder}: holds {file.name}, which intertwine extract did not write; "
            "choose a new folder"
        )


def _check_rows(folder: Path, fresh: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    asked, stored = ((book["rows"], book["ids_sha256"]) for book in (fresh, manifest))
    if asked != stored:
        what = (
            f"{counted(asked[0], 'row')}, it holds {stored[0]}"
            if asked[0] != stored[0]
            else "rows of other ids, or in another order"
        )
        raise InputError(f"{folder}: got {what}; give the input it was made from, or a new folder")
