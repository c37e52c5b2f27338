"""Writing a feature set so that a killed run goes on where it stood.

Each space's file has its final size from the start. Rows are written in disjoint ranges, and a
range is marked complete in feature_set.json only after its bytes are on disk.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from intertwine.arrays import Array, check_finite, to_numpy
from intertwine.errors import InputError
from intertwine.features.folder_lock import lock_folder
from intertwine.features.record import (
    FORMAT_VERSION,
    MANIFEST,
    SpaceRecord,
    ids_text,
    read_manifest,
)
from intertwine.features.row_file import RowFile, make_array
from intertwine.files import RowRanges, atomic_path, write_bytes, write_json
from intertwine.spaces import Head

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence


class FeatureSetWriter:
    """Makes a feature set, or opens one that `FeatureSetWriter` made and goes on with it.

    Use it as a context manager; leaving the block commits what was written.

    Parameters
    ----------
    path
        The folder.
    n
        Number of rows.
    ids
        n row ids, or None.
    labels
        (n,) integers, or None.
    classes
        Names of the classes, or None.
    source
        What the rows came from, for example {"path": …, "kind": …}.

    Raises
    ------
    InputError
        When the folder holds other arrays or other rows, ids repeat or cannot stand on a line,
        another process is writing there, or it cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        n: int,
        *,
        ids: Sequence[str] | None = None,
        labels: Any = None,
        classes: Sequence[str] | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.n = Path(path), n
        if n < 1:
            raise InputError(f"{self.path}: got n = {n} rows, expected at least one")
        text = None if ids is None else ids_text(ids, n, self.path)
        self._lock = lock_folder(self.path)
        try:
            self._open(text, labels, classes, source)
        except BaseException:
            self._lock.close()
            raise
        self._files: dict[str, RowFile] = {}
        self._written: dict[str, RowRanges] = {}

    def _open(
        self, text: bytes | None, labels: Any, classes: Sequence[str] | None, source: Any
    ) -> None:
        digest = None if text is None else hashlib.sha256(text).hexdigest()
        for stale in self.path.glob(".tmp-*"):
            stale.unlink(missing_ok=True)
        if (self.path / MANIFEST).exists():
            self._manifest = read_manifest(self.path / MANIFEST)
            self._check_rows(digest)
        else:
            self._refuse_foreign()
            self._manifest = {
                "format_version": FORMAT_VERSION,
                "rows": self.n,
                "ids_sha256": digest,
                "input": dict(source or {}),
                "spaces": {},
            }
        # First, so that a run killed right after it finds a folder that is its own.
        self._save()
        if text is not None:
            write_bytes(self.path / "ids.txt", text)
        if labels is not None:
            self._write_labels(to_numpy(labels))
        if classes is not None:
            lines = "".join(f"{name}\n" for name in classes)
            write_bytes(self.path / "classes.txt", lines.encode())

    def _refuse_foreign(self) -> None:
        for file in sorted([*self.path.glob("*.npy"), *self.path.glob("ids.txt")]):
            raise InputError(
                f"{self.path}: holds {file.name}, which intertwine extract did not write; "
                "choose a new folder"
            )

    def _check_rows(self, digest: str | None) -> None:
        got, stored = (self.n, digest), (self._manifest["rows"], self._manifest["ids_sha256"])
        if got != stored:
            what = (
                f"{got[0]} rows, it holds {stored[0]}"
                if got[0] != stored[0]
                else "rows of other ids, or in another order"
            )
            raise InputError(
                f"{self.path}: got {what}; give the input it was made from, or a new folder"
            )

    def _write_labels(self, labels: Array) -> None:
        file = self.path / "labels.npy"
        if labels.shape != (self.n,) or labels.dtype.kind not in "iu":
            raise InputError(
                f"{self.path}: got labels {labels.dtype} {labels.shape}, "
                f"expected integers ({self.n},)"
            )
        values = labels.astype(np.int64)
        if file.exists() and not np.array_equal(np.load(file, allow_pickle=False), values):
            raise InputError(
                f"{self.path}: the labels differ from those it holds; choose a new folder"
            )
        with atomic_path(file) as temporary:
            np.save(temporary, values, allow_pickle=False)

    def _save(self) -> None:
        write_json(self.path / MANIFEST, self._manifest)

    def add_space(self, record: SpaceRecord) -> None:
        """Make room for a space, or go on with the one of this name.

        Parameters
        ----------
        record
            The space.

        Raises
        ------
        InputError
            When a space of this name came from another encoder, head or dtype, or the disk has no
            room for it.
        """
        name = record.name
        file = self.path / f"{name}.npy"
        if name in self._files:
            raise InputError(f"space {name} stands twice; give another with name=NAME")
        stored = self._manifest["spaces"].get(name)
        if stored is not None:
            self._check_same(record, stored)
        elif file.exists():
            raise InputError(f"{file}: is there already and belongs to no space of this set")
        head_file = self.path / f"{name}.head.safetensors"
        if stored is None or not file.exists():
            temporary = make_array(file, (self.n, record.dim), record.dtype)
            if record.head is not None:
                record.head.save(head_file)
            facts = {**record.facts, "dtype": record.dtype, "dim": record.dim, "complete": []}
            self._manifest["spaces"][name] = facts
            # Listed as empty before it stands there, so a kill between leaves no false array.
            self._save()
            temporary.replace(file)
        elif record.head is not None and not head_file.exists():
            record.head.save(head_file)
        self._files[name] = RowFile(file, self.n, record.dim, record.dtype)
        self._written[name] = RowRanges()

    def _check_same(self, record: SpaceRecord, stored: Mapping[str, Any]) -> None:
        got = {"dim": record.dim, "dtype": record.dtype}
        got["fingerprint"] = record.facts.get("fingerprint")
        for key, value in got.items():
            if stored.get(key) != value:
                raise InputError(
                    f"{self.path}: space {record.name} has {key} {stored.get(key)}, got {value}; "
                    "give the encoder and options it was made with, another name=, or a new folder"
                )
        head_file = self.path / f"{record.name}.head.safetensors"
        old = Head.load(head_file).fingerprint() if head_file.exists() else None
        new = None if record.head is None else record.head.fingerprint()
        if old is not None and old != new:
            raise InputError(
                f"{self.path}: space {record.name} has another head; give the options it was made "
                "with (head=, layer=, background=), another name=, or a new folder"
            )

    def missing(self, name: str) -> list[tuple[int, int]]:
        """Return the ranges of rows of a space that are not complete."""
        return RowRanges(self._manifest["spaces"][name]["complete"]).missing(self.n)

    def write(self, name: str, start: int, features: Any) -> None:
        """Write rows of a space; they count only after `commit`.

        Parameters
        ----------
        name
            The space.
        start
            Row of the first.
        features
            (k, d) floating-point array.

        Raises
        ------
        InputError
            When they have another shape, hold NaN or infinities, are too large for the dtype, or
            cannot be written.
        """
        file, values = self._files[name], to_numpy(features)
        if values.ndim != 2 or values.shape[1] != file.dim or start + len(values) > self.n:
            raise InputError(
                f"space {name}: got features {values.shape} for row {start} on, "
                f"expected (k, {file.dim}) within {self.n} rows"
            )
        check_finite(values, name=f"space {name}", rows=start)
        with np.errstate(over="ignore"):
            stored = values.astype(file.dtype)
        bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
        if bad.size:
            raise InputError(
                f"space {name}: row {start + bad[0]} reaches "
                f"{np.abs(values[bad[0]]).max():g}, beyond {file.dtype}; use --dtype float32"
            )
        file.write(start, np.ascontiguousarray(stored))
        self._written[name].add(start, start + len(stored))

    def commit(self) -> None:
        """Bring what was written to disk, then mark its rows complete.

        Raises
        ------
        InputError
            When the disk is full or fails; rows marked before stay.
        """
        pending = {name: ranges.to_list() for name, ranges in self._written.items()}
        pending = {name: ranges for name, ranges in pending.items() if ranges}
        for name in pending:
            self._files[name].sync()
        for name, ranges in pending.items():
            facts = self._manifest["spaces"][name]
            facts["complete"] = RowRanges(facts["complete"] + ranges).to_list()
            self._written[name] = RowRanges()
        if pending:
            self._save()

    def close(self) -> None:
        """Commit and let go of the folder."""
        try:
            self.commit()
        finally:
            for file in self._files.values():
                file.close()
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
