"""Rows that a migration converts into files, one for each file of its source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from fnmatch import fnmatch
from functools import partial
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from intertwine.errors import InputError
from intertwine.parallel.threads import prefetch
from intertwine.storage.file_state import FileState, stamp_of
from intertwine.storage.files import check_writable
from intertwine.storage.npy import NpyFile
from intertwine.storage.row_ranges import RowRanges, cut_on_grid
from intertwine.stores.rows.maker import FileMaker
from intertwine.stores.rows.store import folders_below
from intertwine.stores.rows.switch import original, read_note, write_note
from intertwine.stores.rows.switched_files import SwitchedFiles
from intertwine.stores.store import HALF, SINGLE, common_metric
from intertwine.vectors.partial_output import PartialOutput, recorded
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.rows.store import RowStore
    from intertwine.stores.store import Batch, MigrationRecord, Store


class FinishedOnly(ABC):
    """Reads and searches finished files; before, an error says that they are not finished."""

    @abstractmethod
    def whole(self) -> Store:
        """Return the finished files as a store."""

    def batches(self, size: int, after: Any = None) -> Iterator[Batch]:
        """Yield all items of the finished files."""
        return self.whole().batches(size, after)

    def sample(self, size: int) -> Batch:
        """Return some items of the finished files."""
        return self.whole().sample(size)

    def read(self, ids: Sequence[Any]) -> Array:
        """Return vectors of the finished files, a row of NaN where there is none."""
        return self.whole().read(ids)

    def search(self, queries: Array, k: int) -> list[list[Any]]:
        """Return the nearest items of each query among the finished files."""
        return self.whole().search(queries, k)


class RowTarget(SwitchedFiles, FinishedOnly):
    """Files of converted rows, each made from one file of the source.

    Rows so far are in a hidden `.npy` beside the file to be, with a record of those on disk; the
    file itself appears when all its rows are there. A note beside the file or folder says which map
    made it, from which state of the source's files, and what was written: where a file of the
    source has changed since, its file is made again; where a file here has, it is somebody else's
    and stays.
    """

    # When a file is made: beside the writing of its rows, at once when they are there, or at the end.
    making: Literal["beside", "at once", "at the end"] = "at once"
    reads_beside_writes: bool = True
    writers: int = 1

    def __init__(
        self, source: RowStore, address: Address, outputs: list[Path], record: MigrationRecord
    ) -> None:
        super().__init__(source, Path(address.place), outputs, record)
        self.address, self.name, self.dim = address, address.shown, record.target.dim
        self.metric = common_metric(address.options.get("metric"), source.metric, self.name)
        self._read_note()
        self._parts: dict[int, PartialOutput] = {}
        self._makers: dict[int, FileMaker] = {}
        self._whole: RowStore | None = None

    def create(self) -> None:
        """Write the note; files come with their rows."""
        self._facts.clear()
        self._making.clear()
        self.note()

    def _read_note(self) -> None:
        """Read what is made, from what, and what was being made when a run ended."""
        value = read_note(self.place)
        facts, making = value.get("files", {}), value.get("making", [])
        self._facts: dict[str, dict[str, FileState]] = {}
        for name, states in facts.items() if isinstance(facts, dict) else ():
            both = {side: FileState.from_json(states.get(side)) for side in ("input", "output")}
            self._facts[name] = {side: state for side, state in both.items() if state is not None}
        self._making = set(making if isinstance(making, list) else [])
        self._seen: dict[str, tuple[list[list[int]], bool]] = {}

    def note(self) -> None:
        """Write the note."""
        root = self.source.root
        write_note(
            self.place,
            self.record,
            files={
                name: {side: asdict(state) for side, state in states.items()}
                for name, states in self._facts.items()
            },
            making=sorted(self._making),
            names=[str(path.relative_to(root)) for path in self.names],
            **({"switching": True} if self.switching else {}),
        )

    def _name(self, file: int) -> str:
        """Return what a file is called below the source's root."""
        return str(self.source.paths[file].relative_to(self.source.root))

    def _input(self, file: int) -> Path:
        """Return where the content of a file of the source is."""
        return original(self.source.paths[file])

    def is_finished(self, file: int) -> bool:
        """Whether a file is made, from the source's file as it is.

        A file that somebody else made, or wrote to since, raises an error.
        """
        name, output = self._name(file), self.outputs[file]
        if not output.exists():
            return False
        stamps = [stamp_of(self._input(file)), stamp_of(output)]
        if name not in self._seen or self._seen[name][0] != stamps:
            self._seen[name] = stamps, self._look_at(file)
        return self._seen[name][1]

    def _look_at(self, file: int) -> bool:
        """Compare a file, and the one that it was made from, with what was noted of them."""
        name, output = self._name(file), self.outputs[file]
        facts = self._facts.get(name, {})
        if name in self._making:
            return False
        if "output" not in facts or not facts["output"].is_of(output):
            what = "was changed by something else since it was made"
            raise InputError(
                f"{output} {what if facts else 'was not made by this migration'}; move it elsewhere, "
                "and go on"
            )
        return "input" in facts and facts["input"].is_of(self._input(file))

    def _part(self, file: int) -> PartialOutput:
        """Return the rows so far of a file that is not made yet."""
        if file not in self._parts:
            self._parts[file] = PartialOutput(self.outputs[file], self._identity(file))
        return self._parts[file]

    def _identity(self, file: int) -> dict[str, Any]:
        """Return what makes rows of a file rows of this migration, and of the source as it is."""
        return {
            "map_sha256": self.record.map_sha256,
            "input": [str(self.source.paths[file].resolve()), *self.source.stamps[file]],
            "output": self.outputs[file].name,
            "shape": [self.source.sizes[file], self.dim],
            "dtype": self.source.dtype_of(file).name,
        }

    def _left(self, file: int) -> list[tuple[int, int]]:
        """Return the ranges of rows that a file lacks; nothing is made for that."""
        if file in self._parts:
            done = self._parts[file].done
        else:
            done = recorded(self.outputs[file], self._identity(file)) or RowRanges()
        return done.missing(self.source.sizes[file])

    def pending(self, size: int) -> Iterator[Batch]:
        """Yield rows that are not here; a thread reads the next ones meanwhile."""
        return prefetch(self._pending(size))

    def _pending(self, size: int) -> Iterator[Batch]:
        if self.switched():
            return
        for file in range(len(self.outputs)):
            if not self.is_finished(file):
                ranges = [
                    cut for low, high in self._left(file) for cut in cut_on_grid(low, high, size)
                ]
                yield from self.source.items(file, ranges)

    def require_fits(self, batch: Batch, vectors: Array) -> None:
        """Raise where the source's type of number cannot hold some vectors."""
        self._numbers(batch, vectors)

    def _numbers(self, batch: Batch, vectors: Array) -> Array:
        """Return vectors as the source's type of number."""
        file = next(self.source.by_file(batch.payload.start, batch.payload.stop))[0]
        with np.errstate(over="ignore"):
            numbers = np.ascontiguousarray(vectors, self.source.dtype_of(file))
        unfit = ~np.isfinite(numbers).all(axis=1)
        if self.source.holds_nulls:
            unfit &= ~np.isnan(batch.vectors[:, 0])
        if unfit.any():
            at = int(np.flatnonzero(unfit)[0])
            raise InputError(
                f"{self.name}: the mapped vector of item {batch.ids[at]} has numbers that are not "
                f"finite, or too large for {numbers.dtype}, in which the source is"
            )
        return numbers

    def write(self, batch: Batch, vectors: Array) -> int:
        """Write vectors of rows that are not here, where they belong; return how many."""
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
            self._begin_making(file)
            build = partial(self.build, file)
            self._makers[file] = FileMaker(build, self._part(file).array)
        return self._makers[file]

    def _make(self, file: int) -> None:
        """Make a file of its rows, then note it, then remove the rows."""
        part = self._part(file)
        left = sum(stop - start for start, stop in part.chunks(1 << 62))
        if left:
            raise InputError(
                f"{self.outputs[file]}: {counted(left, 'row is', 'rows are')} not converted yet; go on"
            )
        part.sync()
        name, rows = self._name(file), self.source.sizes[file]
        self._begin_making(file)
        maker = self._makers.pop(file, None)
        if maker is None:
            self.build(file, NpyFile(part.array))
        else:
            maker.finish()
        state = FileState.of(self._input(file), rows)
        self._require_same(file, part, state)
        self._facts[name] = {"input": state, "output": FileState.of(self.outputs[file], rows)}
        self._making.discard(name)
        self._seen.pop(name, None)
        self.note()
        part.discard()
        self._let_go(file)

    def _begin_making(self, file: int) -> None:
        """Note that a file is in the making: should a run end there, it is ours."""
        if self._name(file) not in self._making:
            self._making.add(self._name(file))
            self.note()

    def _require_same(self, file: int, part: PartialOutput, state: FileState) -> None:
        """Raise when a file of the source was written to while its rows were read."""
        if state.stamp != part.identity["input"][1:]:
            part.discard()
            self._let_go(file)
            raise InputError(
                f"{self.source.paths[file]} has changed while it was converted; go on with the "
                "migration, which starts with it again"
            )

    @property
    def tolerance(self) -> float:
        """How far the source's types of number round."""
        sizes = {self.source.dtype_of(file).itemsize for file in range(len(self.outputs))}
        return HALF if min(sizes, default=4) < 4 else SINGLE

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
        """Make the files that are not made yet; their rows must be there.

        After a switch that a kill cut off before its last look, that look is made.
        """
        if self.switched():
            if self.switching:
                self.look_again()
            return []
        left = [file for file in range(len(self.outputs)) if not self.is_finished(file)]
        for file in left:
            self._make(file)
        return self._forget_removed() + self.notes()

    def _forget_removed(self) -> list[str]:
        """Remove what was made of files that the source has no more; return notes of it."""
        there = {self._name(file) for file in range(len(self.outputs))}
        notes = []
        for name in sorted(self._facts.keys() - there):
            output = self.place / name
            state = self._facts.pop(name).get("output")
            if state is not None and state.is_of(output):
                output.unlink()
                notes.append(f"{output}: removed, as {name} is not in {self.source.name} any more")
            elif output.exists():
                notes.append(
                    f"{output} was made of a file that is not in {self.source.name} any more, and "
                    "changed since; it is kept"
                )
        if notes:
            self.note()
        return notes

    def notes(self) -> list[str]:
        """Return notes about the finished files."""
        return []

    def require_made(self) -> list[FileState]:
        """Raise unless all files are made of the source as it is; return the state of each."""
        for file, output in enumerate(self.outputs):
            if not self.is_finished(file):
                raise InputError(
                    f"{output} is not finished, or the source has changed since; go on with the "
                    "migration first"
                )
        return [self._facts[self._name(file)]["output"] for file in range(len(self.outputs))]

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise where a name is taken, or a file here is somebody else's."""
        if self.exists() and self.mark() is not None:
            for file in range(len(self.outputs)):
                self.is_finished(file)
        return super().require_ready(force=force)

    def whole(self) -> RowStore:
        """Return the finished files as a store."""
        if self._whole is None:
            self.require_made()
            self._whole = self.opened()
        return self._whole

    def count(self) -> int:
        """Return the number of rows that are here."""
        if self.switched():
            return self.source.count()
        return sum(self._here(file) for file in range(len(self.outputs)))

    def _here(self, file: int) -> int:
        n = self.source.sizes[file]
        try:
            if self.is_finished(file):
                return n
        except InputError:  # somebody else's, which counts for nothing here
            return 0
        return n - sum(stop - start for start, stop in self._left(file))

    def drop(self) -> None:
        """Remove these files, rows so far, and the note; not while they are switched to."""
        self.close()
        super().drop()
        for known in (self._facts, self._making, self._seen):
            known.clear()
        self._whole = None

    def _let_go(self, file: int) -> None:
        self._parts.pop(file).__exit__()

    def close(self) -> None:
        """Record the rows so far and close files."""
        for file in list(self._makers):
            self._makers.pop(file).stop()
        for file in list(self._parts):
            self._let_go(file)


def outputs_at(source: RowStore, place: Path) -> list[Path]:
    """Return the files to make at a place, one for each of the source's, none of which they may be."""
    if "*" in str(place):
        raise InputError(f"got target {place}, a pattern, expected a folder or a file")
    suffix = source.paths[0].suffix
    if place.suffix == suffix and not place.is_dir():
        if len(source.paths) > 1:
            raise InputError(
                f"got target {place}, a file, for {len(source.paths)} files; give a folder"
            )
        outputs = [place]
    elif place.suffix and not place.is_dir() and len(source.paths) == 1:
        raise InputError(f"got target {place}, expected a folder or a name that ends in {suffix}")
    else:
        outputs = [place / path.relative_to(source.root) for path in source.paths]
    require_others(source, outputs)
    return outputs


def require_others(source: RowStore, outputs: list[Path]) -> None:
    """Raise when files to make are the source's, or would be where nothing can be written."""
    given = {path.resolve() for path in source.paths}
    for output in outputs:
        if output.resolve() in given:
            raise InputError(f"{output} is the source itself; name another file or folder")
        if finds(source.address.place, output):
            raise InputError(
                f"{output} would be one of the files of {source.name}; name a target outside of it"
            )
    check_writable(outputs[0].parent)


def finds(place: str, path: Path) -> bool:
    """Return whether an address's files will be found to hold a path, too."""
    real = path.resolve()
    if Path(place).is_dir():
        return any(real.is_relative_to(folder) for folder, _ in folders_below(Path(place)))
    if not has_magic(place):
        return False
    wanted, parts = Path(place).resolve().parts, real.parts
    if "**" in wanted:
        return fnmatch(str(real), str(Path(place).resolve()))
    return len(wanted) == len(parts) and all(map(fnmatch, parts, wanted))
