"""Journals: what each of several processes that fill one set at the same time has done.

The process that fills rows A to B−1 writes `.fill-A-B.json`, which no other writes: the spaces it
found or added, its rows that are complete, its images that are bad. The whole record of the set is
its manifest and all journals together, so no two processes ever write one file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from intertwine.errors import FileFormatError
from intertwine.features.writing.record import MANIFEST, SHAPE, read_manifest
from intertwine.storage.files import read_json
from intertwine.storage.row_ranges import RowRanges
from intertwine.storage.untrusted import damage_as_error, is_count, require_shape

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NAME = re.compile(r"\.fill-(\d+)-(\d+)\.json")


def journal_path(folder: Path, rows: tuple[int, int]) -> Path:
    """Return the journal of the process that fills a range of rows."""
    return folder / f".fill-{rows[0]}-{rows[1]}.json"


def journal_paths(folder: Path) -> list[Path]:
    """Return the journals of a folder, in the order of their rows."""
    matches = ((_NAME.fullmatch(path.name), path) for path in folder.glob(".fill-*.json"))
    ranges = (
        (int(match[1]), int(match[2]), path)
        for match, path in matches
        if match and is_count(match[1]) and is_count(match[2])
    )
    return [path for _, _, path in sorted(ranges)]


def read_journal(path: Path) -> dict[str, Any]:
    """Return a journal; FileFormatError when it is none."""
    journal = read_json(path)
    try:
        require_shape(journal, SHAPE, path)
    except FileFormatError as error:
        raise FileFormatError(
            f"{error}; no journal of intertwine extract: remove it, and its rows are extracted again"
        ) from error
    return dict(journal)


def merge_journals(manifest: dict[str, Any], paths: Iterable[Path]) -> None:
    """Merge journals into a manifest, in place."""
    for path in paths:
        journal = read_journal(path)
        with damage_as_error(path, "a journal of intertwine extract"):
            for name, facts in journal["spaces"].items():
                known = manifest["spaces"].setdefault(name, {**facts, "complete": []})
                known["complete"] = RowRanges(known["complete"] + facts["complete"]).to_list()
        if journal.get("bad"):
            manifest["bad"] = [*manifest.get("bad", ()), *journal["bad"]]


def read_with_journals(folder: Path) -> dict[str, Any]:
    """Return the manifest of a set with what its journals add."""
    manifest = read_manifest(folder / MANIFEST)
    merge_journals(manifest, journal_paths(folder))
    return manifest
