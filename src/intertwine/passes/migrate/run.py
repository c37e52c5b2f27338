"""The pass that moves a vector store to a new space: beside the old vectors, resumable, reversible.

What is done is read from the store itself: an item that has a vector in the new place is not touched
again unless the old one changed. So a killed run goes on, and items embedded natively meanwhile are kept.
"""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from intertwine.errors import InputError, SpaceMismatchError
from intertwine.maps.map_pair import load_map
from intertwine.maps.source_check import SAMPLE_ROWS, require_source
from intertwine.numerics.linalg import is_unit
from intertwine.passes.migrate.batches import BatchMapper, written
from intertwine.passes.migrate.check import MOST_NATIVE, Natives, ReadBack, check_migration
from intertwine.storage.files import sha256_file
from intertwine.storage.untrusted import printable
from intertwine.stores import MigrationRecord, open_store, open_target
from intertwine.stores.store import NamedTarget, require_ours
from intertwine.wording import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array
    from intertwine.stores import Batch, Store, Target

    Progress = Callable[[str, int, int], None]

BATCH_ROWS = 2000
# Items read back by a run that does not switch; one that does reads all.
READ_BACK = 200
# Looks at the store in which no write takes, before a run says so.
FRUITLESS = 3


@dataclass(frozen=True)
class MigrateOptions:
    """How a store is migrated.

    Parameters
    ----------
    batch_size
        Items written at a time, in one transaction where the store has such.
    rate
        Most items a second; as fast as it goes when None.
    dry_run
        Whether to check everything and write nothing.
    switch
        Whether the source's name shall stand for the new vectors at the end.
    rollback
        Whether it shall stand for the old vectors again; nothing else is done then.
    force
        Whether to map vectors even where they look like another space, and where the store says that
        something would be wrong afterwards, such as a view that stays with the old vectors; and to roll
        back even where what was written since the switch cannot be carried along.
    check
        A feature set folder with ids and native vectors of the new model, to search with; or None.
    """

    batch_size: int = BATCH_ROWS
    rate: float | None = None
    dry_run: bool = False
    switch: bool = False
    rollback: bool = False
    force: bool = False
    check: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or (self.rate is not None and not self.rate > 0):
            raise InputError(
                f"got batch size {self.batch_size} and rate {self.rate}, expected numbers above 0"
            )
        if self.rollback and (self.switch or self.dry_run):
            raise InputError("got --rollback with --switch or --dry-run, expected one of them")


def migrate(
    source: str,
    target: str,
    map_file: str | os.PathLike[str] | Path,
    *,
    options: MigrateOptions | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Convert every vector of a store and write it beside the old one.

    Parameters
    ----------
    source, target
        Addresses of stores (see `intertwine.stores.open_store`): the old vectors, and the place of
        the same store where the new ones go.
    map_file
        A map from the old space to the new one.
    options
        How.
    progress
        Called with (what, items done, items in all).

    Returns
    -------
    summary
        JSON-ready: counts, checks, notes.

    Raises
    ------
    InputError
        For a dimension, metric, space or target that does not fit, vectors that cannot be mapped, a
        store that cannot be reached, and new vectors that fail their check. What was written stays,
        and the same call goes on from there.
    """
    options = options or MigrateOptions()
    linear_map = load_map(map_file)
    record = MigrationRecord.of(linear_map, sha256_file(map_file))
    with (
        closing(open_store(source, before_switch=options.rollback)) as store,
        closing(open_target(store, target, record)) as place,
    ):
        run = _Run(store, place, linear_map, record, options, progress or (lambda *_: None))
        with nullcontext() if options.dry_run else place.lock():
            return run.run()


@dataclass
class _Run:
    """One migration, step by step."""

    store: Store
    place: Target
    linear_map: LinearMap
    record: MigrationRecord
    options: MigrateOptions
    progress: Progress
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    written: int = 0
    before: int = 0
    unit: bool = False
    checks: dict[str, Any] | None = None
    natives: Natives | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Do what the options ask for, and return the summary."""
        options, place = self.options, self.place
        if options.rollback:
            self.notes += place.rollback(force=options.force)
            return self.summary(switched=False)
        if place.switched():
            self.go_on_switched()
            return self.summary(switched=True)
        self.prepare()
        if options.dry_run:
            self.rehearse()
            return self.summary(switched=False)
        self.convert_all()
        if options.switch:
            self.notes += place.switch(self.mapper.map)
            self._warn_of_missing()
        return self.summary(switched=options.switch)

    def convert_all(self) -> None:
        """Convert, build indexes, and check."""
        began = time.monotonic()
        # A batch is little work for BLAS: threads that wait for more take cores from the store.
        with threadpool_limits(1, user_api="blas"):
            self.convert()
        self._note_earlier()
        self.notes += self.place.finish()
        self.seconds["convert"] = time.monotonic() - began
        self.check()
        self.seconds["check"] = time.monotonic() - began - self.seconds["convert"]

    def go_on_switched(self) -> None:
        """Convert what came without a new vector since the switch, and warn of what has none."""
        require_ours(self.place.mark(), self.record, self.place.name)
        if self.store.dim != self.linear_map.target.dim:
            raise SpaceMismatchError(
                f"{self.store.name}: got dimension {self.store.dim}, expected "
                f"{self.linear_map.target.dim}: vectors of another space were written since the switch; "
                "map those, or roll back"
            )
        self.notes.append(f"{self.store.name} stands for the new vectors already")
        if self.options.check is not None:
            self.warnings.append(
                f"nothing was searched with {self.options.check}: that is done before a switch"
            )
        if self.options.dry_run:
            left = sum(len(batch.ids) for batch in self.place.pending(self.options.batch_size))
            if left:
                self.warnings.append(
                    f"{counted(left, 'item has', 'items have')} an old vector only; run again to convert"
                )
        else:
            self._scale_like_the_new()
            self.convert()
            self.notes += self.place.finish()
        if self.written:
            self.warnings.append(
                f"{counted(self.written, 'item')} came without a new vector since the switch and "
                f"{'is' if self.written == 1 else 'are'} converted now"
            )
        self._warn_of_missing()

    def _warn_of_missing(self) -> None:
        missing = self.place.missing()
        if missing:
            self.warnings.append(
                f"{counted(missing, 'item')} of {self.store.name} "
                f"{'has' if missing == 1 else 'have'} no vector; no search finds them"
            )

    def prepare(self) -> None:
        """Raise for whatever can be found to be wrong before anything is written."""
        store, place, space = self.store, self.place, self.linear_map.source
        if store.dim != space.dim:
            raise SpaceMismatchError(
                f"{store.name}: got dimension {store.dim}, expected {space.dim} for {space.name}, "
                f"which map {self.linear_map.name} expects"
            )
        earlier = store.mark()
        if earlier is not None:
            space.require(earlier.target)
        sample = store.sample(SAMPLE_ROWS)
        if not sample.ids:
            raise InputError(f"{store.name}: holds no vectors, expected some to convert")
        rows = self._present(sample)
        if self.options.force:
            self.notes.append(f"{store.name}: not checked to be {space.name}, by --force")
        else:
            self.notes.append(require_source(self.linear_map, rows, name=store.name))
        self._scale(rows)
        if self.options.switch and isinstance(place, NamedTarget):
            place.require_name()
        self.warnings += place.require_ready(force=self.options.force)
        if place.exists():
            require_ours(place.mark(), self.record, place.name)
        if self.options.check is not None:
            self.natives = Natives.of(
                self.options.check, self.linear_map.target, store, sample.ids[0]
            )
            self.natives.require_there(store, place)

    def _present(self, sample: Batch) -> Array:
        """Return the vectors of a sample, or others where none of its items has one."""
        rows = sample.vectors[~np.isnan(sample.vectors[:, 0])]
        batches = self.store.batches(self.options.batch_size)
        while not len(rows) and (batch := next(batches, None)) is not None:
            rows = batch.vectors[~np.isnan(batch.vectors[:, 0])]
        if not len(rows):
            raise InputError(f"{self.store.name}: holds no vectors, expected some to convert")
        return rows

    def _scale(self, rows: Array) -> None:
        """Decide whether new vectors are scaled to length 1: as a plan saw, or as the old ones are."""
        plan = self.linear_map.info.get("plan") or {}
        self.unit = bool(plan["unit"]) if "unit" in plan else is_unit(rows)
        if self.unit:
            why = "native ones do" if "unit" in plan else "old ones do"
            self.notes.append(f"new vectors get length 1, as {why}")

    def _scale_like_the_new(self) -> None:
        """Scale as what was switched to was: after a switch the old vectors are not at hand."""
        plan = self.linear_map.info.get("plan") or {}
        rows = self.store.sample(SAMPLE_ROWS).vectors
        self.unit = bool(plan["unit"]) if "unit" in plan else is_unit(rows)

    @property
    def mapper(self) -> BatchMapper:
        """What maps a batch."""
        return BatchMapper(self.linear_map, self.store.name, self.store.metric, self.unit)

    def rehearse(self) -> None:
        """Map all that is pending, as a run would, and write nothing."""
        size, rows, done = self.options.batch_size, self.store.count(), 0
        place = self.place
        batches = place.pending(size) if place.exists() else self.store.batches(size)
        began = time.monotonic()
        for batch, vectors in self.mapper.mapped(batches):
            place.require_fits(batch, vectors)
            done += len(batch.ids)
            self.progress("rehearsing", min(done, rows), rows)
        self.notes.append(
            f"dry run: {done} of {counted(rows, 'item')} would be written; reading and mapping them took "
            f"{time.monotonic() - began:.1f} s"
        )

    def convert(self) -> None:
        """Write what is pending until a look through the whole store finds less than a batch more.

        Where others write all the time there is always something more, and no less than what comes
        during a look; the switch converts that. Items that stay pending whatever is written raise
        an error.
        """
        place = self.place
        if not place.exists():
            place.create()
        self.before = place.count() - self.written
        fruitless, before = 0, 0
        while fruitless < FRUITLESS:
            found, wrote, left = self._round()
            few = found < self.options.batch_size or 2 * found > before
            if not left or (before and wrote == found and few):
                return
            before = found
            fruitless = 0 if wrote else fruitless + 1
        raise InputError(
            f"{place.name}: {counted(len(left), 'item')} or more, {left[0]} among them, take no vector: nothing "
            "reports an error, but they are as before; is there a trigger, a rule, or another writer? "
            "What was written stays"
        )

    def _round(self) -> tuple[int, int, list[Any]]:
        """Write what is pending now; return how many items were pending, were written, and some."""
        mapped = self.mapper.mapped(self.place.pending(self.options.batch_size))
        rows, began, first = self.store.count(), time.monotonic(), self.written
        found, left = 0, list[Any]()
        for batch, wrote in written(self.place, mapped):
            found += len(batch.ids)
            self.written += wrote
            if len(batch.ids) > len(left):
                left = batch.ids
            self.progress("migrating", min(rows, self.before + self.written), rows)
            self._wait(began, self.written - first)
        return found, self.written - first, left

    def _note_earlier(self) -> None:
        if self.before:
            self.notes.append(
                f"{counted(self.before, 'item had a vector', 'items had vectors')} in {self.place.name} already, converted by an earlier "
                "run or native; kept"
            )

    def _wait(self, began: float, done: int) -> None:
        if self.options.rate is not None:
            time.sleep(max(0.0, done / self.options.rate - (time.monotonic() - began)))

    def check(self) -> None:
        """Read back, and search."""
        read_back = ReadBack(
            self.store,
            self.place,
            self.linear_map,
            self.unit,
            again=self.convert,
            most_native=1.0 if self.options.force else MOST_NATIVE,
        )
        if self.options.switch:
            read_back.look_at_all(self.options.batch_size, self.progress)
        else:
            read_back.look_at(self.store.sample(READ_BACK))
        self.checks = check_migration(self.store, self.place, read_back, natives=self.natives)
        if self.checks["differ"]:
            self.warnings.append(
                f"{self.checks['differ']} of {self.checks['read_back']} items read back are not what the "
                "map makes of the old vectors, and were not written by a migration: embedded natively, "
                "or changed; kept"
            )

    def summary(self, *, switched: bool) -> dict[str, Any]:
        """Return the JSON-ready summary of this run."""
        if self.checks is not None:
            rows = self.checks["items"]
        else:
            rows = self.place.count() if self.place.exists() else 0
        return {
            "source": self.store.name,
            "target": self.place.name,
            "map": self.linear_map.name,
            "rows": rows,
            "written": self.written,
            "dry_run": self.options.dry_run,
            "switched": switched,
            "checks": self.checks,
            "seconds": self.seconds,
            "forecast": self.linear_map.info.get("plan"),
            "notes": [printable(note) for note in (*self.warnings, *self.notes)],
        }
