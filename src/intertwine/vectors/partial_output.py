"""An unfinished output: its rows as a `.npy`, and the record of those on disk."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from intertwine.errors import FileFormatError, IntertwineError
from intertwine.storage.files import cannot_write, read_json, remove_temporaries, write_json
from intertwine.storage.npy import NpyFile, RowFile, make_array
from intertwine.storage.row_ranges import RowRanges, cut_on_grid
from intertwine.vectors.writing import write_vectors

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.vectors.vector_file import VectorFile

# Rows are synced to disk and recorded this often.
SYNC_SECONDS = 1.0


def partial_files(output: Path) -> tuple[Path, Path]:
    """Return the paths of an output's rows so far, and of the record of them."""
    # The whole name: x.npy and x.parquet may be written at the same time.
    name = f".{output.name}.partial"
    return output.with_name(f"{name}.npy"), output.with_name(f"{name}.json")


def recorded(output: Path, identity: dict[str, Any]) -> RowRanges | None:
    """Return the rows that a killed run of exactly this call finished, or None."""
    array, record = partial_files(output)
    if not (record.exists() and array.exists()):
        return None
    try:
        value = read_json(record)
        same = value["identity"] == identity
        return RowRanges(value["done"]) if same else None
    except (FileFormatError, KeyError, TypeError, ValueError):
        return None


class PartialOutput:
    """The rows of an output so far, which a run after a kill finds again.

    `identity` identifies the call: the record of a different one is ignored.
    """

    def __init__(self, output: Path, identity: dict[str, Any]) -> None:
        self.output, self.identity = output, identity
        self.array, self.record = partial_files(output)
        n, d = identity["shape"]
        earlier = recorded(output, identity)
        self.done = earlier or RowRanges()
        self._thread = ThreadPoolExecutor(1)
        self._syncing: Future[None] | None = None
        for file in (self.record, output):
            remove_temporaries(file)
        if earlier is None:
            try:
                output.parent.mkdir(parents=True, exist_ok=True)
                # A record must never be of another array than the one next to it.
                self.record.unlink(missing_ok=True)
                make_array(output, (n, d), identity["dtype"]).replace(self.array)
                self._save([])
            except OSError as error:
                raise cannot_write(output, error) from error
            except IntertwineError:
                self.discard()
                raise
        self.file = RowFile(self.array, n, d, identity["dtype"])
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Write what was done, also after an error."""
        try:
            if self.record.exists():
                self.sync()
        finally:
            self._thread.shutdown()
            self.file.close()

    def _save(self, done: list[list[int]]) -> None:
        write_json(self.record, {"identity": self.identity, "done": done})

    def chunks(self, size: int) -> list[tuple[int, int]]:
        """Return the ranges that remain, cut into chunks on one grid."""
        left = self.done.missing(self.identity["shape"][0])
        return [chunk for start, stop in left for chunk in cut_on_grid(start, stop, size)]

    def add(self, start: int, stop: int) -> None:
        """Note rows that are written; now and then a thread syncs them to disk and records them."""
        self.done.add(start, stop)
        busy = self._syncing is not None and not self._syncing.done()
        if not busy and time.monotonic() - self._synced >= SYNC_SECONDS:
            self._wait()
            self._syncing = self._thread.submit(self._to_disk, self.done.to_list())

    def sync(self) -> None:
        """Sync rows to disk and record them."""
        self._wait()
        self._to_disk(self.done.to_list())

    def _wait(self) -> None:
        """Return when the thread is done; raise what failed there."""
        syncing, self._syncing = self._syncing, None
        if syncing is not None:
            syncing.result()

    def _to_disk(self, done: list[list[int]]) -> None:
        # In this order: a record must not list rows that a crash can still lose.
        self.file.sync()
        self._save(done)
        self._synced = time.monotonic()

    def finish(self, source: VectorFile, name: str) -> None:
        """Move the whole file to its name, in the format of its ending.

        `source` is the input, whose other columns are copied; `name` that of the tensor or column
        where the input has none.
        """
        if self.output.suffix == ".npy":
            self._wait()
            self.file.sync()
            try:
                self.array.replace(self.output)
            except OSError as error:
                raise cannot_write(self.output, error) from error
        else:
            self.sync()
            write_vectors(NpyFile(self.array), self.output, name=name, source=source)
        self.discard()

    def discard(self) -> None:
        """Remove everything but a finished output; no rows may follow."""
        # Otherwise the thread could still write a record of a removed array.
        self._thread.shutdown()
        self.record.unlink(missing_ok=True)
        self.array.unlink(missing_ok=True)
