"""The rows of a table that a migration makes beside a LanceDB table: added, replaced, and removed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.carried import Carried
from intertwine.stores.lancedb.arrow import EXTRA, one_line, to_array, to_column
from intertwine.stores.lancedb.digests import digests, origins_of
from intertwine.stores.lancedb.folder import PAGE, tables_of
from intertwine.stores.lancedb.store import LanceStore
from intertwine.stores.origins import KEPT, ORIGIN, Origin
from intertwine.stores.store import HALF, SINGLE, Batch
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
# How often rows are written over that others keep changing meanwhile.
TRIES = 20


class NewTable(LanceStore):
    """A table of the source's columns with new vectors, each row with a note of the source's row.

    The note is in a column of its own (`Origin`). So rows of the source that change or go are known,
    whatever their columns hold; rows without a note are somebody else's and stay as they are.
    """

    def __init__(self, source: LanceStore, address: Address, record: MigrationRecord) -> None:
        self.source, self.record, self.writes = source, record, 0
        # While a switch or a way back is completed: what is written goes under the source's name too.
        self.carrying, self.carried = False, Carried("rows", repr)
        # Rows that were put under the source's name last of all, and are not here yet.
        self.streamed: dict[Any, Origin] = {}
        arrow = import_extra("pyarrow", EXTRA)
        schema = source.columns.noted(record.target.dim, record.to_text())
        schema = schema.append(arrow.field(ORIGIN, arrow.string()))
        columns = replace(source.columns, dim=record.target.dim, schema=schema)
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

    def exists(self) -> bool:
        """Whether the folder has a table of that name."""
        return self.address.part in tables_of(self.database)

    def create(self) -> None:
        """Make the table, empty, of the source's schema, with its record and an index of the ids."""
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

    def stale(self, pinned: Any, size: int, start: int = 0) -> Iterator[Batch]:
        """Yield rows of a version of the source that are not here, or no longer as they are there."""
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
        return Batch(ids, to_array(page[self.columns.vector], self.record.source.dim), page)

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
        """Return the items whose vector is no longer what was written here: somebody else's now."""
        names = [self.columns.id, self.columns.vector]
        return {
            item
            for page in self.find(list(written), names)
            for item, new in zip(page[names[0]].to_pylist(), digests(page[names[1]]), strict=True)
            if written[item] != new
        }

    def noted(self, ids: Sequence[Any]) -> dict[Any, Origin | None]:
        """Return the notes of those of some items that are here; None for what others wrote."""
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
            self.put_under_name(data.select(self.names), now, known)
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
        """Yield the items that a migration wrote here and a version of the source no longer has.

        A source that holds nothing at all raises an error: that is hardly meant.
        """
        with one_line():
            if not pinned.count_rows() and self.table.count_rows(f"{ORIGIN} IS NOT NULL"):
                raise InputError(
                    f"{self.source.name} holds no rows any more; nothing was removed from "
                    f"{self.name}, and nothing is switched over"
                )
        yield from self.source.absent(self._noted_ids, pinned)

    def _noted_ids(self) -> Iterator[list[Any]]:
        """Yield the ids of rows that a migration wrote here."""
        for page in self.pages([self.columns.id, ORIGIN], PAGE):
            yield page.filter(page[ORIGIN].is_valid())[self.columns.id].to_pylist()

    def remove(self, ids: Sequence[Any]) -> None:
        """Remove rows that a migration wrote."""
        with one_line():
            self.table.delete(f"{self.where_ids(ids)} AND {ORIGIN} IS NOT NULL")

    def catch_up(self, pinned: Any, convert: Convert) -> tuple[int, int]:
        """Bring this table to a version of the source; return how many rows it wrote and removed."""
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

    def mark(self) -> MigrationRecord | None:
        """Return the record of these rows: after the switch the one in the source's table."""
        return self.source.mark() if self.switched() else super().mark()

    def switched(self) -> bool:
        """Whether the source's table has our record and what is kept."""
        found = self.source.mark()
        return found is not None and found.after_switch_of(self.record)

    def put_under_name(
        self, rows: Any, now: Sequence[Origin], known: dict[Any, Origin | None]
    ) -> None:
        """Write rows to the source's table, unless they were changed or removed there once more.

        The rows have the vectors that they should have there; `now` is what they are made of,
        `known` what this table noted of them as they were written there first. Of a row that was
        edited there since, but for its vector, the vector alone is written.
        """
        source = self.source
        ids = rows[self.columns.id].to_pylist()
        there = self.under_name(ids)
        fresh, same, edited = [], [], []
        for item, origin in zip(ids, now, strict=True):
            before, found = known.get(item) or self.streamed.get(item), there.get(item)
            fresh.append(before is None and found is None)
            unedited = alike = False
            if before is not None and found is not None:
                unedited = found.rest in {before.rest, origin.rest}
                alike = found.old == before.new
            same.append(unedited)
            edited.append(alike and not unedited)
        arrow = import_extra("pyarrow", EXTRA)
        new, whole, vectors = (
            rows.filter(arrow.array(chosen, arrow.bool_())) for chosen in (fresh, same, edited)
        )
        if len(new):
            with one_line():
                schema = source.table.schema
                merge = source.table.merge_insert(self.columns.id).when_not_matched_insert_all()
                merge.execute(new.select(schema.names).cast(schema), on_bad_vectors="null")
        self._write_over(whole, ("old", "rest"), there)
        self._write_over(vectors, ("old",), there)

    def _write_over(
        self, rows: Any, parts: Sequence[str], seen: dict[Any, Origin], tries: int = TRIES
    ) -> None:
        """Write the vectors (`old`) or the rest of rows over those under the source's name.

        A commit of LanceDB does not know that a row has changed since it was looked at, as `seen`. So
        the version just before it is looked at afterwards, and what others had written there by then
        is written again, unless they have changed that too.
        """
        if not len(rows):
            return
        source, columns = self.source, {"old": [self.columns.vector], "rest": self.others}
        ids = rows[self.columns.id].to_pylist()
        if not tries:
            raise InputError(
                f"{source.name}: {counted(len(ids), 'row')}, {ids[0]!r} among them, were changed by others "
                "each time that they were written; run the same command again when fewer writes come in"
            )
        arrow = import_extra("pyarrow", EXTRA)
        wanted = {self.columns.id, *(name for part in parts for name in columns[part])}
        with one_line():
            schema = source.table.schema
            names = [name for name in schema.names if name in wanted]
            data = rows.select(names).cast(arrow.schema(map(schema.field, names)))
            merge = source.table.merge_insert(self.columns.id).when_matched_update_all()
            version = int(merge.execute(data, on_bad_vectors="null").version)
        before = source.at(version - 1)
        was = self.under_name(ids, before)
        overtaken = {
            item: [part for part in parts if getattr(was[item], part) != getattr(seen[item], part)]
            for item in ids
            if item in was and was[item] != seen[item]
        }
        if not overtaken:
            return
        ours, now = (self.under_name(list(overtaken), each) for each in (source.at(version), None))
        again: dict[tuple[str, ...], list[Any]] = {}
        for item in ours.keys() & now.keys():
            lost = tuple(
                part
                for part in overtaken[item]
                if getattr(now[item], part) == getattr(ours[item], part)
            )
            again.setdefault(lost, []).append(item)
        again.pop((), None)
        for lost, some in again.items():
            theirs = arrow.concat_tables(list(source.find(some, schema.names, before)))
            self._write_over(theirs, lost, now, tries - 1)

    def under_name(self, ids: Sequence[Any], version: Any | None = None) -> dict[Any, Origin]:
        """Return digests of what some rows hold under the source's name: vectors, and the rest.

        They are those of now, or of a version of the table.
        """
        names = [*self.others, self.columns.vector]
        return {
            item: origin
            for page in self.source.find(ids, names, version)
            for item, origin in zip(
                page[self.columns.id].to_pylist(),
                origins_of(page, self.columns.vector, self.others),
                strict=True,
            )
        }
