"""A new table beside a LanceDB table: filled, kept up with the source, and indexed."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.locks import one_run
from intertwine.stores.carried import Carried
from intertwine.stores.lancedb import carry as lancedb_carry
from intertwine.stores.lancedb import switch as lancedb_switch
from intertwine.stores.lancedb.arrow import (
    EMBEDDING,
    EXTRA,
    blob_columns,
    one_line,
    to_array,
    to_column,
)
from intertwine.stores.lancedb.digests import digests, origins_of
from intertwine.stores.lancedb.folder import (
    PAGE,
    absent,
    id_numbers,
    id_rounds,
    sorted_ids,
    tables_of,
    where_ids,
)
from intertwine.stores.lancedb.indexes import build, require_buildable
from intertwine.stores.lancedb.store import LanceStore
from intertwine.stores.origins import KEPT, ORIGIN, Origin
from intertwine.stores.store import HALF, SINGLE, Batch, common_metric, require_ours
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Convert, MigrationRecord

# Writes after which the index of ids is built again, and small files are joined.
INDEX_EVERY = 50
TIDY_EVERY = 500
# What a tidying may throw away of the target's own history.
KEEP_HISTORY = timedelta(minutes=10)


def target_of(source: LanceStore, text: str, mark: MigrationRecord) -> LanceTarget:
    """Return the table that an address names, beside a source whose ids are all different."""
    address = target_address(source, text)
    require_distinct(source)
    return LanceTarget(source, address, mark)


class LanceTarget(LanceStore):
    """A table that a migration makes in the source's folder.

    Each row that a migration writes bears a note, in a column of its own, of the source's row that
    it was made from (`Origin`). So rows of the source that change or go are known, whatever their
    columns hold; rows without a note are somebody else's and stay as they are. A switch writes these
    rows, without their notes, as the next version of the source's table, in one commit: readers that
    opened it before go on with the old version. The rows then stand in the folder twice. A tag,
    `intertwine-VERSION`, keeps the old version: LanceDB's `optimize` stops with an error that names
    the tag, a week later, rather than throw the old vectors away. Delete the tag when they are not
    needed any more.

    Parameters
    ----------
    source
        The table that rows come from.
    address
        Of this one.
    made
        The mark that it bears.
    """

    reads_beside_writes = False
    writers = 1

    def __init__(self, source: LanceStore, address: Address, made: MigrationRecord) -> None:
        self.source, self.made, self.writes = source, made, 0
        # While a switch or a way back is completed: what is written goes under the source's name too.
        self.carrying, self.carried = False, Carried("rows", repr)
        # Rows that were put under the source's name last of all, and are not here yet.
        self.streamed: dict[Any, Origin] = {}
        arrow = import_extra("pyarrow", EXTRA)
        schema = source.columns.noted(made.target.dim, made.to_text())
        schema = schema.append(arrow.field(ORIGIN, arrow.string()))
        columns = replace(source.columns, dim=made.target.dim, schema=schema)
        super().__init__(address, source.database, columns)
        self.metric = self.metric or source.metric
        self.tolerance = HALF if columns.number.bit_width < 32 else SINGLE

    def _indexed(self) -> Any:
        return super()._indexed() if self.exists() else None

    @property
    def names(self) -> list[str]:
        """The columns that the source has too."""
        return [name for name in self.columns.schema.names if name != ORIGIN]

    @property
    def others(self) -> list[str]:
        """The columns that travel as they are."""
        return [name for name in self.names if name != self.columns.vector]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the table for one run: in its folder, or on this machine for a bucket."""
        folder = Path(self.address.place)
        if "://" in self.address.place:
            place = self.address.place.rstrip("/")
            folder = Path(gettempdir(), f"intertwine-{sha256(place.encode()).hexdigest()[:16]}")
        with one_run(folder / f"{self.source.address.part}.migration"):
            yield

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise for what cannot be carried over, before anything is written.

        Raises
        ------
        InputError
            For an index that cannot be built again, columns of blobs, and a table of that name with
            other columns.
        """
        del force  # None of it is possible.
        source, schema = self.source, self.source.table.schema
        blobs = blob_columns(schema)
        if blobs:
            raise InputError(
                f"{source.name}: column {blobs[0]!r} holds blobs, which LanceDB does not read with "
                "the other columns, so that they cannot be carried over; move them to another table"
            )
        if ORIGIN in schema.names:
            raise InputError(
                f"{source.name}: has a column {ORIGIN!r}, which a migration needs for itself; "
                "rename it"
            )
        if not self.switched():
            field = self.columns.schema.field(self.columns.vector)
            require_buildable(source.table, field.name, field, self.metric, source.name)
            if self.exists():
                require_ours(self.mark(), self.made, self.name)
                self._require_columns(self.table.schema, self.name)
        return []

    def _require_columns(self, schema: Any, name: str) -> None:
        """Raise when a table's columns are not those that the source had when it was opened."""
        wanted = {n: self.columns.schema.field(n).type for n in self.others}
        found = {n: schema.field(n).type for n in schema.names}
        found = {n: kind for n, kind in found.items() if n not in {self.columns.vector, ORIGIN}}
        odd = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
        if odd:
            raise InputError(
                f"{name}: columns are not what the source's were ({', '.join(odd)}); undo that, or "
                f"drop the table {self.address.part!r} and migrate again from the start"
            )
        if name == self.name and ORIGIN not in schema.names:
            raise InputError(
                f"{name}: was made by an earlier version of intertwine, which did not note what rows "
                "were made from; drop the table and migrate again"
            )

    def require_fits(self, batch: Batch, vectors: Array) -> None:
        """Raise for numbers that do not fit the column."""
        del batch
        to_column(vectors, self.columns.number)

    def missing(self) -> int:
        """Return how many rows of the source's table have no vector."""
        with one_line():
            return int(self.source.table.count_rows()) - self.source.count()

    def exists(self) -> bool:
        """Whether the folder has a table of that name."""
        return self.address.part in tables_of(self.database)

    def create(self) -> None:
        """Make the table, empty, of the source's schema, with its mark and an index of the ids."""
        with one_line():
            self._table = self.database.create_table(self.address.part, schema=self.columns.schema)
        self._index_ids()

    def _index_ids(self, *, again: bool = False) -> None:
        """Make the index by which ids are found, unless there is one, or again over all rows."""
        with one_line():
            if again or all(
                index.columns != [self.columns.id] for index in self.table.list_indices()
            ):
                tree = import_extra("lancedb.index", EXTRA).BTree()
                self.table.create_index(self.columns.id, config=tree)

    def pending(self, size: int) -> Iterator[Batch]:
        """Yield rows that are not here, or changed since, those without a vector too.

        After a switch that was killed, what was written to the source while it ran is left to do.
        """
        yield from lancedb_switch.carry_unfinished(self, size)
        if not self.switched():
            yield from self.stale(self.source.pinned(), size)

    def stale(self, pinned: Any, size: int, start: int = 0) -> Iterator[Batch]:
        """Give rows of a version of the source that are not here, or not any more as they are there."""
        self._index_ids()
        self._require_columns(pinned.schema, self.source.name)
        arrow, waiting, count = import_extra("pyarrow", EXTRA), [], 0
        for found in self.source.pages(self.names, size, start, pinned):
            page = found.select(self.names)
            rows = self._stale_rows(page)
            waiting.append(page.take(arrow.array(rows, arrow.int64())))
            count += len(rows)
            while count >= size:
                whole = arrow.concat_tables(waiting)
                yield self.batch_of(whole.slice(0, size))
                waiting, count = [whole.slice(size)], count - size
        if count:
            yield self.batch_of(arrow.concat_tables(waiting))

    def batch_of(self, page: Any) -> Batch:
        """Return rows of the source, of before a switch too, as a batch."""
        ids = page[self.columns.id].to_pylist()
        return Batch(ids, to_array(page[self.columns.vector], self.made.source.dim), page)

    def _stale_rows(self, page: Any) -> list[int]:
        """Return which rows of a page of the source are not here as they are there."""
        ids = page[self.columns.id].to_pylist()
        here = self.noted(ids)
        now = origins_of(page, self.columns.vector, self.others)
        rows, changed = [], []
        for row, (item, origin) in enumerate(zip(ids, now, strict=True)):
            if item not in here:
                rows.append(row)
            elif (known := here[item]) is not None and not known.same_source(origin):
                changed.append((row, item, known.new))
        altered = self._altered({item: new for _, item, new in changed})
        return sorted([*rows, *(row for row, item, _ in changed if item not in altered)])

    def _altered(self, written: dict[Any, str]) -> set[Any]:
        """Return the items whose vector is not any more what was written here: somebody else's now."""
        names = [self.columns.id, self.columns.vector]
        return {
            item
            for page in self.find(list(written), names)
            for item, new in zip(page[names[0]].to_pylist(), digests(page[names[1]]), strict=True)
            if written[item] != new
        }

    def noted(self, ids: Sequence[Any]) -> dict[Any, Origin | None]:
        """Return what is noted of those of some items that are here; None for what others wrote."""
        return {
            item: Origin.from_text(text)
            for page in self.find(ids, [self.columns.id, ORIGIN])
            for item, text in zip(
                page[self.columns.id].to_pylist(), page[ORIGIN].to_pylist(), strict=True
            )
        }

    def written_here(self, ids: Sequence[Any]) -> Array:
        """Return whether the vectors of some items are as a migration wrote them, (len(ids),)."""
        noted = self.noted(list(dict.fromkeys(ids)))
        mapped = {
            item: origin.new for item, origin in noted.items() if origin and origin.how != KEPT
        }
        ours = mapped.keys() - self._altered(mapped)
        return np.array([item in ours for item in ids], bool)

    def write(self, batch: Batch, vectors: Array) -> int:
        """Add rows, and replace those that a migration wrote of what was in the source before."""
        self.require_fits(batch, vectors)
        known = self.noted(batch.ids)
        now = origins_of(batch.payload, self.columns.vector, self.others)
        kept = {
            item
            for item, origin in zip(batch.ids, now, strict=True)
            if (old := known.get(item)) and old.how == KEPT and old.old == origin.old
        }
        if kept:
            # Their new vectors are the application's own, and the old ones are as they were.
            rows = [row for row, item in enumerate(batch.ids) if item in kept]
            vectors = vectors.copy()
            vectors[rows] = self.read([batch.ids[row] for row in rows])
        column = to_column(vectors, self.columns.number)
        notes = [
            replace(origin, new=new, **({"how": KEPT} if item in kept else {})).to_text()
            for item, origin, new in zip(batch.ids, now, digests(column), strict=True)
        ]
        data = self.rows(batch.payload, column, notes)
        if self.carrying:
            lancedb_carry.put_under_name(self, data.select(self.names), now, known)
        fresh = np.array([item not in known for item in batch.ids], bool)
        return self._merge(data.filter(fresh), old=False) + self._merge(
            data.filter(~fresh), old=True
        )

    def with_vectors(self, page: Any, vectors: Array) -> Any:
        """Return a page of the source with new vectors."""
        return self._with_column(page, to_column(vectors, self.columns.number))

    def _with_column(self, page: Any, column: Any) -> Any:
        data, field = page.select(self.names), self.columns.schema.field(self.columns.vector)
        return data.set_column(data.schema.get_field_index(field.name), field, column)

    def rows(self, page: Any, column: Any, notes: list[str]) -> Any:
        """Return rows of this table: a page of the source with other vectors, and notes."""
        arrow = import_extra("pyarrow", EXTRA)
        data = self._with_column(page, column)
        noted = data.append_column(ORIGIN, arrow.array(notes, arrow.string()))
        return noted.cast(self.columns.schema)

    def _merge(self, data: Any, *, old: bool) -> int:
        """Insert rows that are not here, or update those that a migration wrote; return how many."""
        if not len(data):
            return 0
        with one_line():
            merge = self.table.merge_insert(self.columns.id)
            if old:
                merge = merge.when_matched_update_all(where=f"target.{ORIGIN} IS NOT NULL")
            else:
                merge = merge.when_not_matched_insert_all()
            result = merge.execute(data, on_bad_vectors="null")
        self.writes += 1
        if self.writes % TIDY_EVERY == 0:
            self._tidy()
        elif self.writes % INDEX_EVERY == 0:
            self._index_ids(again=True)
        return int(result.num_updated_rows if old else result.num_inserted_rows)

    def _tidy(self) -> None:
        with one_line():
            self.table.optimize(cleanup_older_than=KEEP_HISTORY)

    def gone(self, pinned: Any) -> Iterator[list[Any]]:
        """Give the items that a migration wrote here and a version of the source has not any more.

        Raises
        ------
        InputError
            Where the source holds nothing at all: that is hardly meant.
        """
        with one_line():
            if not pinned.count_rows() and self.table.count_rows(f"{ORIGIN} IS NOT NULL"):
                raise InputError(
                    f"{self.source.name} holds no rows any more; nothing was removed from "
                    f"{self.name}, and nothing is switched over"
                )
        yield from absent(self.source, self._noted_ids, pinned)

    def _noted_ids(self) -> Iterator[list[Any]]:
        """Yield the ids of rows that a migration wrote here."""
        for page in self.pages([self.columns.id, ORIGIN], PAGE):
            yield page.filter(page[ORIGIN].is_valid())[self.columns.id].to_pylist()

    def remove(self, ids: Sequence[Any]) -> None:
        """Remove rows that a migration wrote."""
        with one_line():
            self.table.delete(f"{where_ids(self, ids)} AND {ORIGIN} IS NOT NULL")

    def catch_up(self, pinned: Any, convert: Convert) -> tuple[int, int]:
        """Bring this table to a version of the source; return how many were written and removed.

        Raises
        ------
        InputError
            Where a write did not take, naming an item.
        """
        written = 0
        for batch in self.stale(pinned, PAGE):
            wrote = self.write(batch, convert(batch))
            if wrote < len(batch.ids) and (left := self._left(batch)):
                raise InputError(
                    f"{self.name}: {counted(len(left), 'item was', 'items were')} not written, such as {left[0]!r}; nothing "
                    "was switched over"
                )
            written += wrote
        lost = [item for ids in list(self.gone(pinned)) for item in ids]
        for first in range(0, len(lost), PAGE):
            self.remove(lost[first : first + PAGE])
        return written, len(lost)

    def _left(self, batch: Batch) -> list[Any]:
        return [batch.ids[row] for row in self._stale_rows(batch.payload)]

    def finish(self) -> list[str]:
        """Remove what is gone from the source, and build the indexes that it has."""
        if self.switched():
            return []
        lost = [item for ids in list(self.gone(self.source.pinned())) for item in ids]
        for first in range(0, len(lost), PAGE):
            self.remove(lost[first : first + PAGE])
        notes = [f"removed {counted(len(lost), 'row')} gone from the source"] if lost else []
        notes += build(self.table, self.source.table, self.columns.vector, self.metric, self.dim)
        self._tidy()
        if EMBEDDING in (self.source.columns.schema.metadata or {}):
            notes.append(
                "left out which model LanceDB embeds texts with, as it is the source's; queries have "
                "to be embedded before"
            )
        return notes

    def mark(self) -> MigrationRecord | None:
        """Return the mark of these rows: after the switch the one that stands in the source's table."""
        return self.source.mark() if self.switched() else super().mark()

    def switched(self) -> bool:
        """Whether the source's table bears our mark and what is kept."""
        found = self.source.mark()
        return found is not None and found.after_switch_of(self.made)

    def switch(self, convert: Convert) -> list[str]:
        """Write these rows as the next version of the source's table; see `lancedb_switch`."""
        return lancedb_switch.switch(self, convert)

    def rollback(self, *, force: bool = False) -> list[str]:
        """Write the old vectors as the next version of the source's table; see `lancedb_switch`."""
        del force  # Everything can be carried along.
        return lancedb_switch.rollback(self)

    def drop(self) -> None:
        """Remove the table."""
        if self.switched():
            raise InputError(f"{self.source.name} stands for these vectors; roll back first")
        if self.exists():
            require_ours(self.mark(), self.made, self.name)
            with one_line():
                self.database.drop_table(self.address.part)
        self._table = None


def require_distinct(store: LanceStore, pinned: Any = None) -> None:
    """Raise when an id stands twice, or is missing, in a table.

    Raises
    ------
    InputError
        Naming one.
    """
    name, pinned = store.columns.id, pinned or store.pinned()
    rounds = id_rounds(pinned)
    for turn in range(rounds):
        numbers = sorted_ids(store, pinned, turn, rounds)
        suspects = np.unique(numbers[1:][numbers[1:] == numbers[:-1]])[:100]
        if len(suspects):
            found: Counter[Any] = Counter()
            for page in store.pages([name], PAGE, 0, pinned):
                ids = page[name].to_pylist()
                there = np.isin(id_numbers(ids), suspects)
                found.update(item for item, twin in zip(ids, there, strict=True) if twin)
            item, times = found.most_common(1)[0]
            if times > 1:
                raise InputError(
                    f"{store.name}: id {item!r} stands in {times} rows, expected a column that tells "
                    "rows apart; name it: id=COLUMN"
                )


def target_address(source: LanceStore, text: str) -> Address:
    """Return the address of a table beside a source.

    Raises
    ------
    InputError
        For another kind of store, another folder, other columns or metric, and the source itself.
    """
    address = source.address.beside(text)
    address.only("vector", "id", "metric")
    if address.place.rstrip("/") != source.address.place.rstrip("/") or not address.part:
        raise InputError(
            f"got target {address.shown}, expected another table in the source's own folder: "
            f"{source.address.scheme}:{source.address.place}#TABLE"
        )
    if address.part == source.address.part:
        raise InputError(f"{source.name} is the source itself; name another table")
    for name, own in (("vector", source.columns.vector), ("id", source.columns.id)):
        if address.options.get(name, own) != own:
            raise InputError(f"{address.shown}: got {name}={address.options[name]}, expected {own}")
    metric = common_metric(address.options.get("metric"), source.metric, address.shown)
    options = {**source.address.options, **({"metric": metric} if metric else {})}
    return replace(address, options=options)
