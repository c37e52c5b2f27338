"""Writing a feature set so that a killed run continues where it stopped.

Each space's file has its final size from the start. Rows are written in disjoint ranges, and a
range is marked complete, in feature_set.json or in the journal of a process that fills a part of
the rows, only after its bytes are on disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from intertwine.errors import InputError
from intertwine.features.writing.compaction import compact
from intertwine.features.writing.opening import open_ledger
from intertwine.features.writing.record import (
    SpaceRecord,
    check_same,
    ids_text,
    write_classes,
    write_ids,
    write_labels,
)
from intertwine.numerics.arrays import as_features, check_finite, to_numpy
from intertwine.storage.npy import RowFile, make_array
from intertwine.storage.row_ranges import RowRanges
from intertwine.wording import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from intertwine.spaces import Head


class FeatureSetWriter:
    """Makes a feature set of n rows, or continues one that `FeatureSetWriter` made.

    Use it as a context manager; leaving the block commits what was written. `ids` are n texts,
    `labels` (n,) integers, `classes` names, each or None; `source` is what the rows came from, such
    as {"path": …, "kind": …}. With `fill`, (start, stop), only these rows are written while other
    processes may fill other rows of the same set; the next writer without it merges what they did.
    InputError when the folder holds other arrays or rows, ids repeat or cannot be lines, another
    process is writing there or to these rows, or it cannot be written.
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
        fill: tuple[int, int] | None = None,
    ) -> None:
        self.path, self.n = Path(path), n
        if n < 1:
            raise InputError(f"{self.path}: got n = {counted(n, 'row')}, expected at least one")
        if fill is not None and not 0 <= fill[0] < fill[1] <= n:
            raise InputError(
                f"{self.path}: got rows {fill[0]}:{fill[1]} to fill, expected some of 0:{n}"
            )
        text = None if ids is None else ids_text(ids, n, self.path)
        self._ids = ids
        self._ledger = open_ledger(self.path, n, text, source=source or {}, fill=fill)
        try:
            write_ids(self.path, text)
            write_labels(self.path, labels, n)
            write_classes(self.path, classes)
        except BaseException:
            self._ledger.close()
            raise
        self._bad = self._known_bad()
        self._files: dict[str, RowFile] = {}
        self._written: dict[str, RowRanges] = {}
        self._left = False

    def add_space(self, record: SpaceRecord) -> None:
        """Allocate a space, or continue the one of this name.

        InputError when the existing one came from another encoder, head or dtype, or the disk is
        full.
        """
        name = record.name
        file = self.path / f"{name}.npy"
        if name in self._files:
            raise InputError(f"space {name} stands twice; give another with name=NAME")
        # Checked before the ledger: an array is listed before it is made.
        exists = file.exists()
        stored = self._ledger.facts(name)
        if stored is not None:
            check_same(self.path, record, stored)
        elif exists:
            raise InputError(f"{file}: is there already and belongs to no space of this set")
        head_file = self.path / f"{name}.head.safetensors"
        if record.head is not None and (stored is None or not head_file.exists()):
            record.head.save(head_file)
        facts = {**record.facts, "dtype": record.dtype, "dim": record.dim}
        if exists:
            self._ledger.adopt(name, facts)
        else:
            array = make_array(self._ledger.make(file), (self.n, record.dim), record.dtype)
            self._ledger.place(name, facts, array, file)
        self._files[name] = RowFile(file, self.n, record.dim, record.dtype)
        self._written[name] = RowRanges()

    def missing(self, name: str) -> list[tuple[int, int]]:
        """Return the ranges of a space that are not complete and that this writer may write."""
        return self._ledger.missing(name)

    def write(self, name: str, start: int, features: Any) -> None:
        """Write (k, d) rows of a space from row `start` on; they count only after `commit`.

        InputError when they have another shape, hold NaN or infinities, or are too large for the
        dtype.
        """
        file, values = self._files[name], to_numpy(features)
        if values.ndim != 2 or values.shape[1] != file.dim or start + len(values) > self.n:
            raise InputError(
                f"space {name}: got features {values.shape} for row {start} on, "
                f"expected (k, {file.dim}) within {counted(self.n, 'row')}"
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
        for row in [row for row in self._bad if start <= row < start + len(stored)]:
            del self._bad[row]

    def mark_bad(self, row: int, reason: str) -> None:
        """Note why a row cannot be extracted; on disk after `commit`, removed if written."""
        self._bad[row] = reason

    def commit(self) -> None:
        """Write all rows to disk, then mark them complete.

        InputError when the disk is full or fails; rows marked before remain.
        """
        if self._left:
            return
        pending = {name: ranges.to_list() for name, ranges in self._written.items()}
        pending = {name: ranges for name, ranges in pending.items() if ranges}
        for name in pending:
            self._files[name].sync()
        self._ledger.complete(pending, self._bad_entries())
        for name in pending:
            self._written[name] = RowRanges()

    def leave_out(self, rows: Sequence[int]) -> None:
        """Commit, then leave rows marked bad out of every space; nothing can be written afterwards.

        InputError when no row would remain, or the disk is full.
        """
        self.commit()
        self._close_files()
        # From here on this writer's facts of the set are outdated, even where the disk fails.
        self._left = True
        compact(
            self.path, self._ledger.manifest, self._ids or (), {row: self._bad[row] for row in rows}
        )
        self.n -= len(rows)

    def _known_bad(self) -> dict[int, str]:
        """Return the reasons of rows listed as bad that are still absent, by row."""
        reasons = {entry["id"]: entry["reason"] for entry in self._ledger.bad}
        if not reasons:
            return {}
        named = ((row, name) for row, name in enumerate(self._ids or ()) if name in reasons)
        # Another process may have extracted a row since it was listed.
        return {row: reasons[name] for row, name in named if self._ledger.lacks(row)}

    def _bad_entries(self) -> list[dict[str, str]]:
        ids = self._ids or ()
        return [{"id": ids[row], "reason": self._bad[row]} for row in sorted(self._bad)]

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files, self._written = {}, {}

    def close(self) -> None:
        """Commit and release the folder."""
        try:
            self.commit()
        finally:
            self._close_files()
            self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_feature_set(
    path: str | os.PathLike[str],
    features: Mapping[str, Any],
    *,
    ids: Sequence[str] | None = None,
    labels: Any = None,
    heads: Mapping[str, Head] | None = None,
    dtype: str = "float32",
) -> None:
    """Write whole arrays, (n, d) by space, as a feature set, stored in `dtype`.

    `ids` and `labels` are as in `FeatureSetWriter`, `heads` classifiers by space. Everything is
    checked before anything is written.
    """
    heads = heads or {}
    arrays = {name: as_features(value, name=f"space {name}") for name, value in features.items()}
    if not arrays:
        raise InputError(f"{path}: got no space, expected at least one array")
    n = len(next(iter(arrays.values())))
    # Everything is looked at before anything is written.
    for name, values in arrays.items():
        if len(values) != n:
            raise InputError(
                f"space {name}: got {counted(len(values), 'row')}, expected {n} as in the others"
            )
        check_finite(values, name=f"space {name}")
    records = {a: SpaceRecord(a, v.shape[1], dtype, heads.get(a)) for a, v in arrays.items()}
    with FeatureSetWriter(path, n, ids=ids, labels=labels) as writer:
        for name, values in arrays.items():
            writer.add_space(records[name])
            writer.write(name, 0, values)
