"""Rows that a migration converts into files, one for each file of its source."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from intertwine.errors import InputError
from intertwine.features.npy import NpyFile
from intertwine.stores.file_maker import FileMaker
from intertwine.stores.file_switch import original, read_note, write_note
from intertwine.stores.store import HALF, SINGLE, common_metric
from intertwine.stores.switched_files import SwitchedFiles
from intertwine.stores.when_whole import WhenWhole
from intertwine.threads import ahead
from intertwine.vectors.partial_output import PartialOutput, partial_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.row_store import RowStore
    from intertwine.stores.store import Batch, Mark


class RowTarget(SwitchedFiles, WhenWhole):
    """Files of converted rows, each made from one file of the source.

    Rows so far stand in a hidden `.npy` beside the file to be, with a record of those on disk; the file
    itself appears when all its rows are there. A note beside the file or folder says which map made it,
    and from which state of the source's files: where one has changed since, its file is made anew.

    Parameters
    ----------
    source
        Where the vectors come from.
    address
        Of these files.
    outputs
        The files, one for each of the source's.
    made
        The mark that they bear.
    """

    # When a file is made: beside the writing of its rows, at once when they are there, or at the end.
    making: Literal["beside", "at once", "at the end"] = "at once"
    reads_beside_writes: bool = True
    writers: int = 1

    def __init__(self, source: RowStore, address: Address, outputs: list[Path], made: Mark) -> None:
        super().__init__(source, Path(address.place), outputs, made)
        self.address, self.name, self.dim = address, address.shown, made.target.dim
        self.metric = common_metric(address.options.get("metric"), source.metric, self.name)
        self._inputs = read_note(self.place).get("inputs", {})
        self._parts: dict[int, PartialOutput] = {}
        self._makers: dict[int, FileMaker] = {}
        self._whole: RowStore | None = None

    def create(self) -> None:
        """Write the note; files come with their rows."""
        self._inputs = {}
        self._note()

    def _note(self) -> None:
        write_note(self.place, self.made, inputs=self._inputs)

    def _state(self, file: int) -> list[int]:
        """Return what tells one state of a file of the source from another."""
        status = original(self.source.paths[file]).stat()
        return [status.st_size, status.st_mtime_ns]

    def is_finished(self, file: int) -> bool:
        """Whether a file is made, from the source's file as it is."""
        known = self._inputs.get(str(file)) == self._state(file)
        return known and self.outputs[file].exists()

    def _part(self, file: int) -> PartialOutput:
        """Return the rows so far of a file that is not made yet."""
        if file not in self._parts:
            identity = {
                "map_sha256": self.made.map_sha256,
                "input": [str(self.source.paths[file].resolve()), *self._state(file)],
                "output": self.outputs[file].name,
                "shape": [self.source.sizes[file], self.dim],
                "dtype": self.source.dtype_of(file).name,
            }
            self._parts[file] = PartialOutput(self.outputs[file], identity)
        return self._parts[file]

    def pending(self, size: int) -> Iterator[Batch]:
        """Give rows that are not here; a thread reads the next ones meanwhile."""
        return ahead(self._pending(size))

    def _pending(self, size: int) -> Iterator[Batch]:
        if self.switched():
            return
        for file in range(len(self.outputs)):
            if not self.is_finished(file):
                yield from self.source.items(file, self._part(file).chunks(size))

    def require_fits(self, batch: Batch, vectors: Array) -> None:
        """Raise where the source's type of number cannot hold some vectors."""
        self._numbers(batch, vectors)

    def _numbers(self, batch: Batch, vectors: Array) -> Array:
        """Return vectors as the source's type of number."""
        file = next(self.source.by_file(batch.payload.start, batch.payload.stop))[0]
        with np.errstate(over="ignore"):
            numbers = np.ascontiguousarray(vectors, self.source.dtype_of(file))
        if not np.isfinite(numbers).all():
            at = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
            raise InputError(
                f"{self.name}: the mapped vector of item {batch.ids[at]} has numbers that are not "
                f"finite, or too large for {numbers.dtype}, in which the source is"
            )
        return numbers

    def write(self, batch: Batch, vectors: Array) -> int:
        """Write vectors of rows that are not here, where they belong; return how many.

        Raises
        ------
        InputError
            For numbers that the source's type of number cannot hold, and a full disk.
        """
        rows: range = batch.payload
        file, start, stop = next(self.source.by_file(rows.start, rows.stop))
        if self.is_finished(file):
            return 0
        part = self._part(file)
        numbers = self._numbers(batch, vectors)
        written = 0
        for low, high in part.done.missing(stop):
            if high > start:
                first = max(low, start)
                part.file.write(first, numbers[first - start : high - start])
                part.add(first, high)
                written += high - first
        left = part.done.missing(self.source.sizes[file])
        if self.making == "beside":
            self._maker(file).grow(left[0][0] if left else self.source.sizes[file])
        if not left and self.making != "at the end":
            self._make(file)
        return written

    def _maker(self, file: int) -> FileMaker:
        if file not in self._makers:
            build = partial(self.build, file)
            self._makers[file] = FileMaker(build, self._part(file).array)
        return self._makers[file]

    def _make(self, file: int) -> None:
        """Make a file of its rows, then note it, then forget the rows."""
        part = self._part(file)
        left = sum(stop - start for start, stop in part.chunks(1 << 62))
        if left:
            raise InputError(f"{self.outputs[file]}: {left} rows are not converted yet; go on")
        part.sync()
        maker = self._makers.pop(file, None)
        if maker is None:
            self.build(file, NpyFile(part.array))
        else:
            maker.finish()
        self._inputs[str(file)] = part.identity["input"][1:]
        self._note()
        part.discard()
        self._let_go(file)

    @property
    def tolerance(self) -> float:
        """How far the source's types of number round."""
        sizes = {self.source.dtype_of(file).itemsize for file in range(len(self.outputs))}
        return HALF if min(sizes, default=4) < 4 else SINGLE

    def lock(self) -> AbstractContextManager[None]:
        """Hold the files for one run."""
        return nullcontext()

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise where a switch would find a name taken."""
        del force
        return []

    def written_here(self, ids: Sequence[Any]) -> Array:
        """Return that all rows are a migration's: nobody else writes to these files."""
        return np.ones(len(ids), bool)

    def missing(self) -> int:
        """Return 0: every row has a vector."""
        return 0

    @abstractmethod
    def build(self, file: int, rows: NpyFile) -> None:
        """Write the file that is to hold some rows, atomically."""

    @abstractmethod
    def opened(self) -> RowStore:
        """Return the finished files as a store."""

    def finish(self) -> list[str]:
        """Make the files that are not made yet.

        Raises
        ------
        InputError
            When rows are missing.
        """
        if self.switched():
            return []
        left = [file for file in range(len(self.outputs)) if not self.is_finished(file)]
        for file in left:
            self._make(file)
        return self.notes()

    def notes(self) -> list[str]:
        """Return what is worth telling of the finished files."""
        return []

    def require_made(self) -> None:
        """Raise unless all files are made of the source as it is.

        Raises
        ------
        InputError
            When rows are missing, or the source has changed.
        """
        for file, output in enumerate(self.outputs):
            if not self.is_finished(file):
                raise InputError(
                    f"{output} is not finished, or the source has changed since; go on with the "
                    "migration first"
                )

    def whole(self) -> RowStore:
        """Return the finished files as a store."""
        if self._whole is None:
            self.require_made()
            self._whole = self.opened()
        return self._whole

    def count(self) -> int:
        """Return the number of rows that are here."""
        return sum(self._here(file) for file in range(len(self.outputs)))

    def _here(self, file: int) -> int:
        n = self.source.sizes[file]
        if self.is_finished(file):
            return n
        if not all(path.exists() for path in partial_files(self.outputs[file])):
            return 0
        return n - sum(stop - start for start, stop in self._part(file).done.missing(n))

    def drop(self) -> None:
        """Remove these files, rows so far, and the note; not while they are switched to."""
        self.close()
        super().drop()
        self._inputs, self._whole = {}, None

    def _let_go(self, file: int) -> None:
        self._parts.pop(file).__exit__()

    def close(self) -> None:
        """Record the rows so far and let go of files."""
        for file in list(self._makers):
            self._makers.pop(file).stop()
        for file in list(self._parts):
            self._let_go(file)
